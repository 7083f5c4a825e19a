// From tasks and the places of values to steps that can be run.
#pragma once

#include "plan_parts.h"
#include "workers.h"

namespace mmreact {

// A step for each task, in their order. `input` is read when they run.
std::vector<Step> make_steps(const Graph& graph, const Program& program,
                             const std::vector<Prepared>& prepared,
                             const Kernel& kernel, const Tasks& tasks,
                             const Memory& memory, const float*& input,
                             Tables& tables);

}  // namespace mmreact
