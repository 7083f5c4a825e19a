#include "epilogues.h"

#include <stdexcept>

namespace mmreact {

namespace {

// The factor of a Scale, as pixels of channels.
const float* constant(PlanParts& parts, int index) {
  const Value& v = parts.node(index).value;
  const Array& factor = parts.operation(parts.node(index)).arrays[0];
  const auto& shape = factor.shape;
  std::vector<float> data;
  for (int64_t y = 0; y < v.h; ++y)
    for (int64_t x = 0; x < v.w; ++x)
      for (int64_t c = 0; c < v.c; ++c)
        data.push_back(factor.real[(c * shape[1] + y % shape[1]) * shape[2] +
                                   x % shape[2]]);
  return parts.keep(std::move(data)).data();
}

void set_rows(PostOp& post, const Rows& rows, int64_t channel) {
  post.a = rows.a.data() + channel;
  post.b = rows.b.data() + channel;
  post.c = rows.c.empty() ? nullptr : rows.c.data() + channel;
}

// What a kernel does for an elementwise node of one input.
Post post_kind(const PlanParts& parts, const Node& n) {
  switch (n.kind) {
    case Kind::kAffine:
      return Post::kAffine;
    case Kind::kRPReLU:
      return parts.prepared[n.op].beta_is_small ? Post::kRPReLULargest
                                                : Post::kRPReLU;
    case Kind::kClamp:
      return Post::kClamp;
    case Kind::kSigmoid:
      return Post::kSigmoid;
    case Kind::kTanh:
      return Post::kTanh;
    case Kind::kAbs:
      return Post::kAbs;
    case Kind::kHardsigmoid:
      return Post::kHardsigmoid;
    case Kind::kHardswish:
      return Post::kHardswish;
    case Kind::kSiLU:
      return Post::kSiLU;
    case Kind::kGELU:
      return parts.operation(n).approximate ? Post::kGELUTanh : Post::kGELU;
    case Kind::kELU:
      return Post::kELU;
    case Kind::kSoftplus:
      return Post::kSoftplus;
    case Kind::kInput:
    case Kind::kConv2d:
    case Kind::kConvTranspose2d:
    case Kind::kLinear:
    case Kind::kBinaryConv2d:
    case Kind::kBinaryLinear:
    case Kind::kSign:
    case Kind::kAdd:
    case Kind::kMultiply:
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
      break;
  }
  throw std::logic_error("a node is not elementwise");
}

PostOp post_op(PlanParts& parts, int index, int before) {
  const Node& n = parts.node(index);
  PostOp post{};
  const int other = other_input(n, before);
  if (other >= 0) {
    post.kind = n.kind == Kind::kAdd ? Post::kAdd : Post::kMultiply;
    if (parts.tasks.pooled[other]) {
      const Node& pool = parts.node(other);
      post.kind = Post::kAddPooled;
      post.operand =
          make_operand(parts, pool.inputs[0], parts.input_value(pool));
      post.operand.row = parts.input_value(pool).w * post.operand.pixel;
      post.operand.at = parts.pixels(pool.value, 2 * post.operand.row,
                                     2 * post.operand.pixel);
    } else {
      post.operand = make_operand(parts, other, n.value);
    }
    return post;
  }
  post.kind = post_kind(parts, n);
  if (n.kind == Kind::kClamp) {
    post.low = static_cast<float>(parts.operation(n).low);
    post.high = static_cast<float>(parts.operation(n).high);
  }
  if (n.kind == Kind::kELU)
    post.alpha = static_cast<float>(parts.operation(n).alpha);
  if (n.kind == Kind::kAffine || n.kind == Kind::kRPReLU)
    set_rows(post, parts.prepared[n.op].rows, n.channel);
  return post;
}

void add_bits(PlanParts& parts, Epilogue& e, int index) {
  const Node& sign = parts.node(index);
  const BitPlace& to = parts.memory.bits(index);
  e.bits = to.data;
  e.bits_image = to.image;
  e.bits_at = parts.pixels(sign.value, to.row, to.pixel);
  if (sign.op < 0) {  // packs +1 and -1
    e.threshold = parts.keep(std::vector<float>(sign.value.c + kBlock)).data();
    return;
  }
  const Prepared& p = parts.prepared[sign.op];
  e.threshold = p.rows.a.data() + sign.channel;
  if (!p.flip.empty()) e.flip = p.flip.data() + sign.channel;
}

}  // namespace

Operand make_operand(PlanParts& parts, int value, const Value& result) {
  const Value& v = parts.node(value).value;
  Operand o{};
  int64_t pitch;
  if (parts.node(value).kind == Kind::kConstant) {
    o.data = constant(parts, value);
    pitch = v.c;
  } else {
    o.data = parts.memory.real(value).data;
    pitch = parts.memory.real(value).pitch;
  }
  const Sheet from(v), to(result);
  o.image = from.images == 1 && to.images > 1 ? 0 : from.pixels() * pitch;
  o.pixel = from.pixels() == 1 && to.pixels() > 1 ? 0 : pitch;
  o.channels = v.c == result.c;
  return o;
}

Epilogue make_epilogue(PlanParts& parts, const Task& task,
                       std::vector<PostOp> first) {
  std::vector<PostOp> ops = std::move(first);
  int before = task.head;
  for (const int index : task.posts) {
    ops.push_back(post_op(parts, index, before));
    before = index;
  }
  Epilogue e{};
  e.count = static_cast<int>(ops.size());
  e.ops = parts.keep(std::move(ops)).data();
  const Value& value = parts.node(task.stored()).value;
  if (task.stores) {
    if (task.means >= 0) e.pooled_width = parts.node(task.result).value.w;
    RealPlace to = parts.memory.real(task.stored());
    if (task.concat >= 0) {
      to = parts.memory.real(task.concat);
      to.data += task.channel;
    }
    e.out = to.data;
    e.image = Sheet(value).pixels() * to.pitch;
    e.pixel = to.pitch;
  }
  if (task.sign >= 0) add_bits(parts, e, task.sign);
  return e;
}

std::vector<PostOp> scale_and_shift(const Prepared& p) {
  if (p.rows.a.empty()) return {};
  std::vector<PostOp> ops(1);
  ops[0].kind = Post::kAffine;
  set_rows(ops[0], p.rows, 0);
  return ops;
}

}  // namespace mmreact
