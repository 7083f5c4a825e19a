// Where the signs of a plan lie.
#pragma once

#include "memory.h"

namespace mmreact {

// Finds the places of all nodes that are signs, counted in words from the
// start of one block (`data` is not set). last_read says until which node each
// is needed. Returns the number of words, which must be zero at first.
size_t place_bits(const Graph& graph, const Program& program,
                  const Tasks& tasks, const std::vector<int>& last_read,
                  std::vector<BitPlace>& places);

}  // namespace mmreact
