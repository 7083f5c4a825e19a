#include "plan.h"

#include <algorithm>

#include "moves.h"

namespace mmreact {

Plan::Plan(const Program& program, const std::vector<Prepared>& prepared,
           const Kernel& kernel, int64_t n, int64_t h, int64_t w,
           const std::vector<int>& wanted)
    : input_(std::make_unique<const float*>(nullptr)) {
  const Graph graph = build_graph(program, n, h, w, wanted);
  Tasks tasks = make_tasks(graph, program, prepared);
  memory_ = std::make_unique<Memory>(graph, program, tasks);
  steps_ = make_steps(graph, program, prepared, kernel, tasks, *memory_,
                      *input_, tables_);
  outputs_.resize(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const int result = graph.results[i];
    const Value& value = graph.nodes[result].value;
    values_.push_back(value);
    steps_.push_back(
        value.sign
            ? sign_output_step(value, memory_->bits(result), outputs_[i])
            : real_output_step(value, memory_->real(result), outputs_[i]));
  }
}

void Plan::run(const float* input, void* const* outputs, Workers& workers) {
  *input_ = input;
  std::copy(outputs, outputs + outputs_.size(), outputs_.begin());
  workers.run(steps_);
}

}  // namespace mmreact
