#include "chains.h"

#include <algorithm>

namespace mmreact {

namespace {

bool averages_2x2(const Operation& op) {
  const Pair two{2, 2}, zero{0, 0};
  return op.kind == Kind::kAvgPool2d && op.kernel == two && op.stride == two &&
         op.padding == zero;
}

class Fuser {
 public:
  Fuser(const Graph& graph, const Program& program,
        const std::vector<Prepared>& prepared)
      : graph_(graph),
        program_(program),
        prepared_(prepared),
        consumers_(graph.consumers()),
        done_(graph.nodes.size()) {
    result_.pooled.resize(graph.nodes.size());
  }

  Tasks fuse() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const int index = static_cast<int>(i);
      if (done_[i]) continue;
      const Node& node = graph_.nodes[i];
      if (node.kind == Kind::kConstant || node.kind == Kind::kConcat ||
          is_view(graph_, index))
        continue;
      if (is_pooled_operand(index))
        result_.pooled[i] = true;
      else
        start(index);
    }
    std::stable_sort(result_.tasks.begin(), result_.tasks.end(),
                     [](const Task& a, const Task& b) { return a.at < b.at; });
    return std::move(result_);
  }

 private:
  const Value& value(int node) const { return graph_.nodes[node].value; }

  void start(int index) {
    const Node& node = graph_.nodes[index];
    Task task;
    task.producer = task.head = task.result = index;
    if (node.kind == Kind::kSign) {
      task.producer = task.head = task.result = node.inputs[0];
      task.loads = true;
      task.stores = false;
      task.sign = index;
      task.at = index;
      result_.tasks.push_back(task);
      return;
    }
    if (node.kind == Kind::kUnpack) {
      task.producer = node.inputs[0];
      task.loads = true;
    } else if (is_elementwise(node.kind)) {
      task.producer = task.head = first_input(node);
      task.loads = true;
      task.posts.push_back(index);
    }
    if (is_tile(node.kind)) extend(task);
    task.at = task.result;
    result_.tasks.push_back(task);
  }

  // Kinds whose result passes through the registers of a kernel.
  static bool is_tile(Kind kind) {
    switch (kind) {
      case Kind::kInput:
      case Kind::kChannelMean:
      case Kind::kFlatten:
      case Kind::kRegroup:
      case Kind::kBroadcast:
      case Kind::kPad:
      case Kind::kCrop:
      case Kind::kChannelShuffle:
      case Kind::kGroupNorm:
      case Kind::kLayerNorm:
      case Kind::kSoftmax:
      case Kind::kLogSoftmax:
      case Kind::kResize:
        return false;
      case Kind::kConv2d:
      case Kind::kConvTranspose2d:
      case Kind::kLinear:
      case Kind::kBinaryConv2d:
      case Kind::kBinaryLinear:
      case Kind::kAvgPool2d:
      case Kind::kMaxPool2d:
      case Kind::kAdaptiveAvgPool2d:
      case Kind::kAdaptiveMaxPool2d:
      case Kind::kUnpack:
      // They are read, and what they do comes behind that.
      case Kind::kSign:
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
      // They have no tasks.
      case Kind::kScale:
      case Kind::kConcat:
      case Kind::kSlice:
      case Kind::kConstant:
        return false;
    }
    return false;
  }

  // The input that is read, the other one being an operand: one of the
  // result's shape if there is one.
  int first_input(const Node& node) const {
    const auto& in = node.inputs;
    if (in.size() == 1) return in[0];
    const auto full = [&](int i) {
      return value(i).same_shape(node.value) && !result_.pooled[i] &&
             graph_.nodes[i].kind != Kind::kConstant;
    };
    return full(in[0]) || !full(in[1]) ? in[0] : in[1];
  }

  void extend(Task& task) {
    for (;;) {
      const Node& node = graph_.nodes[task.result];
      const auto& next = consumers_[task.result];
      if (node.wanted || next.size() != 1) break;
      const Node& post = graph_.nodes[next[0]];
      if (done_[next[0]] || !is_elementwise(post.kind) ||
          !node.value.same_shape(post.value))
        break;
      done_[next[0]] = true;
      task.posts.push_back(next[0]);
      task.result = next[0];
    }
    const auto& consumers = consumers_[task.result];
    const bool wanted = graph_.nodes[task.result].wanted;
    if (blocks_are_words(task))
      for (const int consumer : consumers) {
        if (graph_.nodes[consumer].kind != Kind::kSign) continue;
        task.sign = consumer;
        done_[consumer] = true;
        task.stores = wanted || consumers.size() > 1;
        break;
      }
    // What is left may be one pooling.
    if (wanted || !can_store_means(task)) return;
    if (consumers.size() != (task.sign >= 0 ? 2 : 1)) return;
    for (const int consumer : consumers)
      if (is_means(graph_, program_, consumer)) {
        task.means = consumer;
        done_[consumer] = true;
      }
  }

  // Only 1-bit convolutions, whose blocks all are full.
  bool can_store_means(const Task& task) const {
    const Node& producer = graph_.nodes[task.producer];
    if (task.loads || producer.kind != Kind::kBinaryConv2d) return false;
    const auto& blocks = prepared_[producer.op].blocks;
    return value(producer.inputs[0]).sign && blocks_are_words(task) &&
           std::all_of(blocks.begin(), blocks.end(), [](const Block& block) {
             return block.lanes == kBlock;
           });
  }

  // With groups a block may begin within a word of bits.
  bool blocks_are_words(const Task& task) const {
    const int op = graph_.nodes[task.producer].op;
    if (task.loads || op < 0) return true;
    const auto& blocks = prepared_[op].blocks;
    return std::all_of(blocks.begin(), blocks.end(), [](const Block& block) {
      return block.channel % kBlock == 0;
    });
  }

  // The mean of 2x2 pixels that is added to something of its shape.
  bool is_pooled_operand(int index) const {
    const Node& node = graph_.nodes[index];
    if (node.kind != Kind::kAvgPool2d || node.wanted ||
        consumers_[index].size() != 1)
      return false;
    const Operation& op = program_.operations[node.op];
    const Value& x = value(node.inputs[0]);
    if (!averages_2x2(op) || (op.ceil_mode && (x.h % 2 || x.w % 2)))
      return false;
    const Node& add = graph_.nodes[consumers_[index][0]];
    const int other = other_input(add, index);
    return add.kind == Kind::kAdd && !result_.pooled[other] &&
           graph_.nodes[other].kind != Kind::kConstant &&
           value(other).same_shape(add.value) &&
           node.value.same_shape(add.value);
  }

  const Graph& graph_;
  const Program& program_;
  const std::vector<Prepared>& prepared_;
  const std::vector<std::vector<int>> consumers_;
  std::vector<bool> done_;
  Tasks result_;
};

}  // namespace

Tasks make_tasks(const Graph& graph, const Program& program,
                 const std::vector<Prepared>& prepared) {
  return Fuser(graph, program, prepared).fuse();
}

bool is_means(const Graph& graph, const Program& program, int node) {
  const Node& n = graph.nodes[node];
  if (n.kind != Kind::kAvgPool2d) return false;
  const Value& x = graph.nodes[n.inputs[0]].value;
  return averages_2x2(program.operations[n.op]) && x.w % kPooledTile == 0 &&
         x.h % 2 == 0;
}

bool is_view(const Graph& graph, int node) {
  const Node& n = graph.nodes[node];
  if (n.value.sign) return false;
  return n.kind == Kind::kSlice ||
         (n.kind == Kind::kFlatten &&
          graph.nodes[n.inputs[0]].value.pixels() == 1);
}

int other_input(const Node& node, int input) {
  if (node.inputs.size() < 2) return -1;
  return node.inputs[0] == input ? node.inputs[1] : node.inputs[0];
}

}  // namespace mmreact
