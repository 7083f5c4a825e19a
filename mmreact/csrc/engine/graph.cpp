#include "graph.h"

#include <algorithm>

#include "../file/error.h"
#include "../kernels/kernel.h"
#include "chains.h"
#include "padding.h"

namespace mmreact {

namespace {

class Builder {
 public:
  Builder(const Program& program, const std::vector<Value>& values,
          const std::vector<int>& wanted)
      : program_(program), values_(values), wanted_(wanted) {}

  Graph build() {
    std::vector<bool> needed(program_.operations.size());
    for (const int op : wanted_) needed[op] = true;
    for (size_t i = needed.size(); i-- > 0;)
      if (needed[i])
        for (const int input : program_.operations[i].inputs)
          needed[input] = true;
    node_of_.assign(needed.size(), -1);
    for (size_t i = 0; i < needed.size(); ++i)
      if (needed[i]) add_operation(static_cast<int>(i));
    for (const int op : wanted_) {
      graph_.results.push_back(node_of_[op]);
      graph_.nodes[node_of_[op]].wanted = true;
    }
    while (move_behind_concat()) {
    }
    return sorted();
  }

 private:
  int add(Kind kind, int op, std::vector<int> inputs, Value value,
          int64_t channel = 0) {
    Node node;
    node.kind = kind;
    node.op = op;
    node.inputs = std::move(inputs);
    node.value = value;
    node.channel = channel;
    graph_.nodes.push_back(std::move(node));
    return static_cast<int>(graph_.nodes.size()) - 1;
  }

  const Value& value(int node) const { return graph_.nodes[node].value; }

  int unpacked(int node) {
    if (!value(node).sign) return node;
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (graph_.nodes[i].kind == Kind::kUnpack &&
          graph_.nodes[i].inputs[0] == node)
        return static_cast<int>(i);
    Value real = value(node);
    real.sign = false;
    return add(Kind::kUnpack, -1, {node}, real);
  }

  // An operand whose strides can say how it repeats.
  int operand(int node, const Value& result) {
    Value full = result;
    full.n = value(node).n;
    full.c = value(node).c;
    return is_operand(value(node), result)
               ? node
               : add(Kind::kBroadcast, -1, {node}, full);
  }

  void add_operation(int index) {
    const Operation& op = program_.operations[index];
    const Value& result = values_[index];
    std::vector<int> inputs;
    for (const int input : op.inputs) inputs.push_back(node_of_[input]);
    const bool binary =
        op.kind == Kind::kBinaryConv2d || op.kind == Kind::kBinaryLinear;
    if (!inputs.empty()) inputs[0] = node_of_[source_of(program_, op)];
    if (!binary)
      for (int& input : inputs) input = unpacked(input);
    if (binary && value(inputs[0]).sign && op.groups > 1 &&
        op.in_channels / op.groups % kBlock != 0)
      inputs[0] = add(Kind::kRegroup, index, inputs, value(inputs[0]));
    if (op.kind == Kind::kAdd || op.kind == Kind::kMultiply)
      for (int& input : inputs) input = operand(input, result);
    if (op.kind == Kind::kScale) {
      const auto& shape = op.arrays[0].shape;
      Value factor = result;
      factor.n = 1;
      factor.c = shape[0];
      if (shape[1] == 1 && shape[2] == 1) factor.h = factor.w = 1;
      inputs.push_back(add(Kind::kConstant, index, {}, factor));
    }
    // What only moves channels works on floats; then it is packed again.
    const bool packs = result.sign && op.kind != Kind::kSign;
    Value value = result;
    value.sign = op.kind == Kind::kSign;
    const Kind kind = op.kind == Kind::kScale ? Kind::kMultiply : op.kind;
    node_of_[index] = add(kind, index, inputs, value);
    graph_.nodes[node_of_[index]].padding = padding_of(program_, op);
    if (packs)
      node_of_[index] = add(Kind::kSign, -1, {node_of_[index]}, result);
  }

  // Operations per channel move from behind a Concat into its branches, where
  // they can be joined with what makes these. A Sign moves if the branches
  // begin at words.
  bool move_behind_concat() {
    const auto consumers = graph_.consumers();
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node node = graph_.nodes[i];
      if (node.inputs.size() != 1 || consumers[i].empty()) continue;
      const bool sign = node.kind == Kind::kSign;
      if (!sign && !is_elementwise(node.kind) &&
          !is_means(graph_, program_, static_cast<int>(i)))
        continue;
      const int source = node.inputs[0];
      const Node concat = graph_.nodes[source];
      if (concat.kind != Kind::kConcat || concat.value.sign) continue;
      if (sign ? !aligned(concat)
               : concat.wanted || consumers[source].size() > 1)
        continue;
      move(static_cast<int>(i), node, concat);
      return true;
    }
    return false;
  }

  bool aligned(const Node& concat) const {
    for (size_t i = 0; i + 1 < concat.inputs.size(); ++i)
      if (value(concat.inputs[i]).c % kBlock != 0) return false;
    return true;
  }

  void move(int index, const Node& node, const Node& concat) {
    std::vector<int> branches;
    int64_t channel = node.channel;
    for (const int input : concat.inputs) {
      Value result = node.value;
      result.c = value(input).c;
      branches.push_back(add(node.kind, node.op, {input}, result, channel));
      channel += result.c;
    }
    Node& joined = graph_.nodes[index];
    joined.kind = Kind::kConcat;
    joined.inputs = branches;
  }

  // Only what is needed, in an order where inputs come first.
  Graph sorted() const {
    Graph result;
    std::vector<int> place(graph_.nodes.size(), -1);
    std::vector<std::pair<int, size_t>> stack;  // node, next input
    for (const int wanted : graph_.results) {
      stack.emplace_back(wanted, 0);
      while (!stack.empty()) {
        auto& [index, next] = stack.back();
        const Node& node = graph_.nodes[index];
        if (place[index] >= 0) {
          stack.pop_back();
        } else if (next < node.inputs.size()) {
          const int input = node.inputs[next++];
          stack.emplace_back(input, 0);
        } else {
          place[index] = static_cast<int>(result.nodes.size());
          result.nodes.push_back(node);
          for (int& input : result.nodes.back().inputs) input = place[input];
          stack.pop_back();
        }
      }
      result.results.push_back(place[wanted]);
    }
    return result;
  }

  const Program& program_;
  const std::vector<Value>& values_;
  const std::vector<int>& wanted_;
  std::vector<int> node_of_;  // of each operation
  Graph graph_;
};

}  // namespace

std::vector<std::vector<int>> Graph::consumers() const {
  std::vector<std::vector<int>> found(nodes.size());
  // Operations that were moved away stay in the list, but nobody takes them.
  std::vector<bool> live(nodes.size());
  std::vector<int> stack = results;
  while (!stack.empty()) {
    const int index = stack.back();
    stack.pop_back();
    if (live[index]) continue;
    live[index] = true;
    stack.insert(stack.end(), nodes[index].inputs.begin(),
                 nodes[index].inputs.end());
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!live[i]) continue;
    for (const int input : nodes[i].inputs)
      found[input].push_back(static_cast<int>(i));
  }
  return found;
}

bool is_elementwise(Kind kind) {
  switch (kind) {
    case Kind::kAffine:
    case Kind::kRPReLU:
    case Kind::kClamp:
    case Kind::kSigmoid:
    case Kind::kTanh:
    case Kind::kAbs:
    case Kind::kHardsigmoid:
    case Kind::kHardswish:
    case Kind::kSiLU:
    case Kind::kGELU:
    case Kind::kELU:
    case Kind::kSoftplus:
    case Kind::kAdd:
    case Kind::kMultiply:
      return true;
    case Kind::kInput:
    case Kind::kConv2d:
    case Kind::kConvTranspose2d:
    case Kind::kLinear:
    case Kind::kBinaryConv2d:
    case Kind::kBinaryLinear:
    case Kind::kSign:
    case Kind::kScale:
    case Kind::kConcat:
    case Kind::kSlice:
    case Kind::kFlatten:
    case Kind::kPad:
    case Kind::kCrop:
    case Kind::kChannelShuffle:
    case Kind::kGroupNorm:
    case Kind::kLayerNorm:
    case Kind::kSoftmax:
    case Kind::kLogSoftmax:
    case Kind::kResize:
    case Kind::kAvgPool2d:
    case Kind::kMaxPool2d:
    case Kind::kAdaptiveAvgPool2d:
    case Kind::kAdaptiveMaxPool2d:
    case Kind::kChannelMean:
    case Kind::kUnpack:
    case Kind::kRegroup:
    case Kind::kBroadcast:
    case Kind::kConstant:
      return false;
  }
  return false;
}

bool is_operand(const Value& value, const Value& result) {
  return (value.h == result.h && value.w == result.w) ||
         (value.h == 1 && value.w == 1);
}

Graph build_graph(const Program& program, int64_t n, int64_t h, int64_t w,
                  const std::vector<int>& wanted) {
  const auto values = program.infer(n, program.input_shape[0], h, w);
  for (const Value& value : values)
    require(value.pixels() < INT32_MAX && value.n < INT32_MAX,
            "an image has too many pixels for the native backend");
  return Builder(program, values, wanted).build();
}

}  // namespace mmreact
