// The operations that give the wanted results for one input shape, rewritten
// so that more of them can be joined.
#pragma once

#include <vector>

#include "../program/operation.h"

namespace mmreact {

struct Node {
  Kind kind = Kind::kInput;
  int op = -1;  // whose constants it takes, in the program
  std::vector<int> inputs;
  Value value;
  int64_t channel = 0;  // the first of its channels among those constants
  bool wanted = false;
  Pair padding{0, 0};  // of a convolution; see padding.h
};

struct Graph {
  std::vector<Node> nodes;   // each after its inputs
  std::vector<int> results;  // nodes of the wanted operations, in their order

  std::vector<std::vector<int>> consumers() const;
};

// Throws Error if the program cannot take the shape.
Graph build_graph(const Program& program, int64_t n, int64_t h, int64_t w,
                  const std::vector<int>& wanted);

bool is_elementwise(Kind kind);

// Whether a value can be an operand of an elementwise operation that gives
// `result` by strides alone.
bool is_operand(const Value& value, const Value& result);

}  // namespace mmreact
