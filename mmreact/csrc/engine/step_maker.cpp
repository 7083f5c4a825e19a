#include "step_maker.h"

#include <algorithm>
#include <stdexcept>

#include "epilogues.h"
#include "gather.h"
#include "moves.h"
#include "normalizations.h"
#include "resampling.h"

namespace mmreact {

namespace {

// Pixels of one block after the other: as many as keep the weights that they
// share in the first cache, or all if the weights do not stay in the second;
// but not many if a code is made for each, which threads that share a band
// make for themselves.
int64_t band_pixels(size_t weight_bytes, int64_t pixel_bytes, int64_t pixels) {
  constexpr int64_t kLeast = 28;
  if (weight_bytes <= 24 * 1024) return kLeast;
  const int64_t most = weight_bytes <= 384 * 1024 ? 112 : pixels;
  const int64_t fit = 16 * 1024 / (pixel_bytes + 1) / kLeast * kLeast;
  return std::max(kLeast, std::min(most, fit));
}

// Of this thread; it grows, and is kept.
uint8_t* scratch(int64_t bytes) {
  static thread_local Aligned<uint8_t> memory;
  if (memory.size() < static_cast<size_t>(bytes)) {
    memory.clear();
    memory.resize(bytes);
  }
  return memory.data();
}

// Nanoseconds, roughly: of a 32-bit word times kBlock channels, of a float
// times kBlock channels, and of storing kBlock channels.
constexpr double kWordCost = 0.4, kRealCost = 1.0, kStoreCost = 3.0;

class StepMaker {
 public:
  StepMaker(const Kernel& kernel, const float*& input, PlanParts& parts)
      : kernel_(kernel), input_(input), parts_(parts) {}

  Step make(const Task& task) {
    const Node& producer = parts_.node(task.producer);
    const Value& value = producer.value;
    const RealPlace& to = parts_.memory.real(task.result);
    if (task.loads) return load_step(task);
    switch (producer.kind) {
      case Kind::kInput:
        return input_step(input_, value, to);
      case Kind::kChannelMean:
        return channel_mean_step(parts_.input_value(producer),
                                 parts_.source(producer), to);
      case Kind::kFlatten:
        return flatten_step(parts_.input_value(producer),
                            parts_.source(producer), to);
      case Kind::kBroadcast:
        return broadcast_step(parts_.input_value(producer),
                              parts_.source(producer), value, to);
      case Kind::kRegroup:
        return regroup_step(parts_.input_value(producer),
                            parts_.operation(producer).groups,
                            parts_.memory.bits(producer.inputs[0]),
                            parts_.memory.bits(task.producer));
      case Kind::kPad:
      case Kind::kCrop:
      case Kind::kChannelShuffle:
        return gather(producer, to);
      case Kind::kResize:
        if (!parts_.operation(producer).bilinear) return gather(producer, to);
        return bilinear_step(parts_.operation(producer),
                             parts_.input_value(producer),
                             parts_.source(producer), value, to);
      case Kind::kGroupNorm:
        return group_norm_step(parts_.operation(producer),
                               parts_.prepared[producer.op].rows, value,
                               parts_.source(producer), to);
      case Kind::kLayerNorm:
        return layer_norm_step(parts_.operation(producer),
                               parts_.prepared[producer.op].rows, value,
                               parts_.source(producer), to);
      case Kind::kSoftmax:
      case Kind::kLogSoftmax:
        return softmax_step(value, parts_.source(producer), to,
                            producer.kind == Kind::kLogSoftmax);
      case Kind::kAvgPool2d:
      case Kind::kMaxPool2d:
      case Kind::kAdaptiveAvgPool2d:
      case Kind::kAdaptiveMaxPool2d:
        return pool_step(task);
      case Kind::kConv2d:
      case Kind::kConvTranspose2d:
      case Kind::kLinear:
      case Kind::kBinaryConv2d:
      case Kind::kBinaryLinear:
        return parts_.input_value(producer).sign ? binary_step(task)
                                                 : real_step(task);
      // They load, or have no tasks.
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
      case Kind::kScale:
      case Kind::kConcat:
      case Kind::kSlice:
      case Kind::kUnpack:
      case Kind::kConstant:
        break;
    }
    throw std::logic_error("no step makes this kind of node");
  }

 private:
  // Blocks of neighbouring channels.
  const std::vector<Block>& plain_blocks(int64_t channels) {
    std::vector<Block> blocks;
    for (int64_t c = 0; c < channels; c += kBlock)
      blocks.push_back(
          {c, c, static_cast<int>(std::min<int64_t>(kBlock, channels - c))});
    return parts_.keep(std::move(blocks));
  }

  // A step of the kernel over all tiles.
  template <class Producer>
  Step tile_step(void (*run)(const Producer&, const Job&, const Range&),
                 const Producer& producer, const Task& task,
                 const std::vector<Block>& blocks, size_t weight_bytes,
                 double tile_cost, std::vector<PostOp> first = {},
                 int64_t words = 0) {
    const Sheet sheet(parts_.node(task.result).value);
    const int64_t pixels = sheet.pixels();
    Job job{};
    job.blocks = blocks.data();
    job.band = band_pixels(weight_bytes,
                           window_bytes(words, kernel_.code_bytes), pixels);
    job.epilogue = make_epilogue(parts_, task, std::move(first));
    if (task.means >= 0) job.band = 2 * sheet.width;
    const int64_t bands = (pixels + job.band - 1) / job.band;
    const int64_t bytes =
        std::min(job.band, pixels) * window_bytes(words, kernel_.code_bytes);
    // With few bands the blocks are units too.
    const int64_t count = static_cast<int64_t>(blocks.size());
    const int64_t split = sheet.images * bands < 64 ? count : 1;
    Step step;
    step.units = sheet.images * bands * split;
    step.cost = static_cast<double>(sheet.images * pixels * count) *
                (tile_cost + kStoreCost);
    step.run = [=](int64_t begin, int64_t end) {
      Range range;
      range.scratch = scratch(bytes);
      for (int64_t unit = begin; unit < end;) {
        const int64_t band = unit / split % bands, part = unit % split;
        // Units that differ in their block only are done together.
        const int64_t parts = std::min(split - part, end - unit);
        range.image = unit / split / bands;
        range.first = band * job.band;
        range.last = std::min(pixels, range.first + job.band);
        range.block_first = split == 1 ? 0 : part;
        range.block_last = split == 1 ? count : part + parts;
        run(producer, job, range);
        unit += parts;
      }
    };
    return step;
  }

  Step load_step(const Task& task) {
    const Node& from = parts_.node(task.producer);
    const Value& value = parts_.node(task.result).value;
    Load load{};
    if (from.value.sign) {
      const BitPlace& place = parts_.memory.bits(task.producer);
      load.bits = place.data;
      load.bits_image = place.image;
      load.bits_at = parts_.pixels(value, place.row, place.pixel);
    } else {
      load.in = make_operand(parts_, task.producer, value);
    }
    return tile_step(kernel_.load, load, task, plain_blocks(value.c), 0, 0.);
  }

  Step gather(const Node& n, const RealPlace& to) {
    const Value& in = parts_.input_value(n);
    return gather_step(in, parts_.source(n), n.value, to,
                       gather_maps(parts_.operation(n), in, n.value));
  }

  Step pool_step(const Task& task) {
    const Node& n = parts_.node(task.producer);
    const Value& in = parts_.input_value(n);
    const Operation& op = parts_.operation(n);
    const AxisTable& rows = parts_.keep(axis_table(op, 0, in.h, n.value.h));
    const AxisTable& columns = parts_.keep(axis_table(op, 1, in.w, n.value.w));
    const RealPlace& from = parts_.source(n);
    const Pool pool{
        from.data,
        in.pixels() * from.pitch,
        in.w * from.pitch,
        from.pitch,
        n.value.w,
        op.kind == Kind::kMaxPool2d || op.kind == Kind::kAdaptiveMaxPool2d,
        rows.axis(),
        columns.axis()};
    const double taps = static_cast<double>(in.pixels()) /
                        static_cast<double>(n.value.pixels());
    return tile_step(kernel_.pool, pool, task, plain_blocks(n.value.c), 0,
                     kRealCost * taps);
  }

  Step binary_step(const Task& task) {
    const Node& n = parts_.node(task.producer);
    const Value& in = parts_.input_value(n);
    const Operation& op = parts_.operation(n);
    const Prepared& p = parts_.prepared[n.op];
    const BitPlace& from = parts_.memory.bits(n.inputs[0]);
    const BinaryTables& t = parts_.keep(
        binary_tables(op, n.padding, p, in, n.value, from.row, from.pixel));
    const BinaryConv conv{
        from.data - n.padding[0] * from.row - n.padding[1] * from.pixel,
        from.image,
        parts_.pixels(n.value, op.stride[0] * from.row,
                      op.stride[1] * from.pixel),
        op.stride[1] * from.pixel,
        t.offsets.data(),
        t.runs,
        t.length,
        p.bit_weight.data(),
        t.start.data(),
        t.class_at.data(),
        t.alike.data(),
        t.half.empty() ? nullptr : t.half.data(),
        p.scale.data(),
        p.shift.data()};
    return tile_step(kernel_.binary_conv, conv, task, p.blocks,
                     p.bit_weight.size(), kWordCost * t.runs * t.length,
                     scale_and_shift(p), int64_t{t.runs} * t.length);
  }

  Step real_step(const Task& task) {
    const Node& n = parts_.node(task.producer);
    const Operation& op = parts_.operation(n);
    const Prepared& p = parts_.prepared[n.op];
    const Value& in = parts_.input_value(n);
    const Sheet sheet(in);
    const RealPlace& from = parts_.source(n);
    const auto& zeros = parts_.keep(std::vector<float>(p.channels));
    RealConv conv{};
    conv.in = from.data;
    conv.image = sheet.pixels() * from.pitch;
    conv.row = sheet.width * from.pitch;
    conv.pixel = from.pitch;
    conv.height = sheet.height;
    conv.width = sheet.width;
    conv.out_width = Sheet(n.value).width;
    for (int i = 0; i < 2; ++i) {
      conv.kernel[i] = p.kernel[i];
      conv.stride[i] = op.stride[i];
      conv.spread[i] = 1;
      if (op.kind == Kind::kConvTranspose2d)
        std::swap(conv.stride[i], conv.spread[i]);
      conv.padding[i] = n.padding[i];
      conv.dilation[i] = op.dilation[i];
    }
    conv.channels = p.channels;
    conv.grouped = p.groups > 1;
    const Sheet out(n.value);
    conv.in_at = parts_.pixels(n.value, conv.stride[0] * conv.row,
                               conv.stride[1] * conv.pixel);
    conv.inside =
        parts_.keep(inside_table(conv, out.height, out.width)).data();
    conv.zeros = zeros.data();
    conv.weight = p.real_weight.data();
    conv.bias = p.shift.data();
    const double taps =
        static_cast<double>(p.kernel[0] * p.kernel[1] * p.channels);
    return tile_step(kernel_.real_conv, conv, task, p.blocks,
                     p.real_weight.size() * sizeof(float), kRealCost * taps,
                     scale_and_shift(p));
  }

  const Kernel& kernel_;
  const float*& input_;
  PlanParts& parts_;
};

}  // namespace

std::vector<Step> make_steps(const Graph& graph, const Program& program,
                             const std::vector<Prepared>& prepared,
                             const Kernel& kernel, const Tasks& tasks,
                             const Memory& memory, const float*& input,
                             Tables& tables) {
  PlanParts parts(graph, program, prepared, tasks, memory, tables);
  StepMaker maker(kernel, input, parts);
  std::vector<Step> steps;
  for (const Task& task : tasks.tasks) steps.push_back(maker.make(task));
  return steps;
}

}  // namespace mmreact
