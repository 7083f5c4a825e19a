// What is computed in one pass over memory: a convolution, a pooling or a
// value that is read, and the operations behind it.
#pragma once

#include <vector>

#include "graph.h"
#include "prepare.h"

namespace mmreact {

struct Task {
  // The node that makes the first value or, if it `loads`, that is read.
  int producer = 0;
  bool loads = false;
  int head = 0;  // the node of the first value
  // Elementwise nodes behind it, each with the one before as an input.
  std::vector<int> posts;
  int result = 0;      // the node of the last value
  bool stores = true;  // somebody needs it, or its means, as floats
  int means = -1;      // the pooling that needs only means of 2x2, or -1
  int sign = -1;       // the Sign whose bits are made of it, or -1
  int at = 0;          // the node at whose place in the order it is done
  // The node whose floats are stored.
  int stored() const { return means >= 0 ? means : result; }

  // A Concat into which the value is only copied, at a channel; or -1.
  int concat = -1;
  int64_t channel = 0;
};

struct Tasks {
  std::vector<Task> tasks;   // in order
  std::vector<bool> pooled;  // 2x2 means that are read by an Add
};

Tasks make_tasks(const Graph& graph, const Program& program,
                 const std::vector<Prepared>& prepared);

// Whether a node is the mean of 2x2 pixels of an image that a kernel can make
// while it stores them.
bool is_means(const Graph& graph, const Program& program, int node);

// A node without a task of its own: its value is part of another one.
bool is_view(const Graph& graph, int node);

// The operand of an elementwise node besides `input`; -1 if it has one input.
int other_input(const Node& node, int input);

}  // namespace mmreact
