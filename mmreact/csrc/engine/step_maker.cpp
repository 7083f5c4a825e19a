#include "step_maker.h"

#include <algorithm>
#include <map>

#include "moves.h"
#include "tables.h"

namespace mmreact {

namespace {

// Pixels of one block after the other: as many as keep the weights that they
// share in the first cache, or all if the weights do not stay in the second,
// unless what is kept for each pixel does not.
int64_t band_pixels(size_t weight_bytes, int64_t pixel_bytes, int64_t pixels) {
  constexpr int64_t kLeast = 28;
  if (weight_bytes <= 24 * 1024) return kLeast;
  const int64_t most = weight_bytes <= 384 * 1024 ? 112 : pixels;
  const int64_t fit = 32 * 1024 / (pixel_bytes + 1) / kLeast * kLeast;
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
  StepMaker(const Graph& graph, const Program& program,
            const std::vector<Prepared>& prepared, const Kernel& kernel,
            const Tasks& tasks, const Memory& memory, const float*& input,
            Tables& tables)
      : graph_(graph),
        program_(program),
        prepared_(prepared),
        kernel_(kernel),
        tasks_(tasks),
        memory_(memory),
        input_(input),
        tables_(tables) {}

  Step make(const Task& task) {
    const Node& producer = node(task.producer);
    const Value& value = producer.value;
    const RealPlace& to = memory_.real(task.result);
    if (task.loads) return load_step(task);
    switch (producer.kind) {
      case Kind::kInput:
        return input_step(input_, value, to);
      case Kind::kChannelMean:
        return channel_mean_step(input_value(producer), source(producer), to);
      case Kind::kFlatten:
        return flatten_step(input_value(producer), source(producer), to);
      case Kind::kBroadcast:
        return broadcast_step(input_value(producer), source(producer), value,
                              to);
      case Kind::kRegroup:
        return regroup_step(input_value(producer), operation(producer).groups,
                            memory_.bits(producer.inputs[0]),
                            memory_.bits(task.producer));
      case Kind::kAvgPool2d:
      case Kind::kMaxPool2d:
      case Kind::kAdaptiveAvgPool2d:
        return pool_step(task);
      default:
        return input_value(producer).sign ? binary_step(task)
                                          : real_step(task);
    }
  }

 private:
  const Node& node(int i) const { return graph_.nodes[i]; }
  const Operation& operation(const Node& n) const {
    return program_.operations[n.op];
  }
  const Value& input_value(const Node& n) const {
    return node(n.inputs[0]).value;
  }
  const RealPlace& source(const Node& n) const {
    return memory_.real(n.inputs[0]);
  }

  template <class T>
  T& keep(T table) {
    auto kept = std::make_shared<T>(std::move(table));
    tables_.push_back(kept);
    return *kept;
  }

  // A table of the pixels of a value, shared by all that need the same.
  const int32_t* pixels(const Value& value, int64_t row, int64_t pixel) {
    const Sheet sheet(value);
    auto& table = pixel_tables_[{sheet.height, sheet.width, row, pixel}];
    if (!table)
      table = keep(pixel_table(sheet.height, sheet.width, row, pixel)).data();
    return table;
  }

  // Blocks of neighbouring channels.
  const std::vector<Block>& plain_blocks(int64_t channels) {
    std::vector<Block> blocks;
    for (int64_t c = 0; c < channels; c += kBlock)
      blocks.push_back(
          {c, c, static_cast<int>(std::min<int64_t>(kBlock, channels - c))});
    return keep(std::move(blocks));
  }

  // How `value` is read by an operation that gives `result`.
  Operand operand(int value, const Value& result) {
    const Value& v = node(value).value;
    Operand o{};
    int64_t pitch;
    if (node(value).kind == Kind::kConstant) {
      o.data = constant(value);
      pitch = v.c;
    } else {
      o.data = memory_.real(value).data;
      pitch = memory_.real(value).pitch;
    }
    const Sheet from(v), to(result);
    o.image = from.images == 1 && to.images > 1 ? 0 : from.pixels() * pitch;
    o.pixel = from.pixels() == 1 && to.pixels() > 1 ? 0 : pitch;
    o.channels = v.c == result.c;
    return o;
  }

  // The factor of a Scale, as pixels of channels.
  const float* constant(int index) {
    const Value& v = node(index).value;
    const Array& factor = operation(node(index)).arrays[0];
    const auto& shape = factor.shape;
    std::vector<float> data;
    for (int64_t y = 0; y < v.h; ++y)
      for (int64_t x = 0; x < v.w; ++x)
        for (int64_t c = 0; c < v.c; ++c)
          data.push_back(factor.real[(c * shape[1] + y % shape[1]) * shape[2] +
                                     x % shape[2]]);
    return keep(std::move(data)).data();
  }

  PostOp post_op(int index, int before) {
    const Node& n = node(index);
    PostOp post{};
    const int other = other_input(n, before);
    if (other >= 0) {
      post.kind = n.kind == Kind::kAdd ? Post::kAdd : Post::kMultiply;
      if (tasks_.pooled[other]) {
        const Node& pool = node(other);
        post.kind = Post::kAddPooled;
        post.operand = operand(pool.inputs[0], input_value(pool));
        post.operand.row = input_value(pool).w * post.operand.pixel;
        post.operand.at =
            pixels(pool.value, 2 * post.operand.row, 2 * post.operand.pixel);
      } else {
        post.operand = operand(other, n.value);
      }
      return post;
    }
    switch (n.kind) {
      case Kind::kAffine:
        post.kind = Post::kAffine;
        break;
      case Kind::kRPReLU:
        post.kind = prepared_[n.op].beta_is_small ? Post::kRPReLULargest
                                                  : Post::kRPReLU;
        break;
      case Kind::kClamp:
        post.kind = Post::kClamp;
        post.low = static_cast<float>(operation(n).low);
        post.high = static_cast<float>(operation(n).high);
        break;
      case Kind::kAbs:
        post.kind = Post::kAbs;
        break;
      case Kind::kSigmoid:
        post.kind = Post::kSigmoid;
        break;
      default:
        post.kind = Post::kTanh;
    }
    if (n.kind == Kind::kAffine || n.kind == Kind::kRPReLU)
      set_rows(post, prepared_[n.op].rows, n.channel);
    return post;
  }

  static void set_rows(PostOp& post, const Rows& rows, int64_t channel) {
    post.a = rows.a.data() + channel;
    post.b = rows.b.data() + channel;
    post.c = rows.c.empty() ? nullptr : rows.c.data() + channel;
  }

  Epilogue epilogue(const Task& task, std::vector<PostOp> first) {
    std::vector<PostOp> ops = std::move(first);
    int before = task.head;
    for (const int index : task.posts) {
      ops.push_back(post_op(index, before));
      before = index;
    }
    Epilogue e{};
    e.count = static_cast<int>(ops.size());
    e.ops = keep(std::move(ops)).data();
    const Value& value = node(task.stored()).value;
    if (task.stores) {
      if (task.means >= 0) e.pooled_width = node(task.result).value.w;
      RealPlace to = memory_.real(task.stored());
      if (task.concat >= 0) {
        to = memory_.real(task.concat);
        to.data += task.channel;
      }
      e.out = to.data;
      e.image = Sheet(value).pixels() * to.pitch;
      e.pixel = to.pitch;
    }
    if (task.sign >= 0) add_bits(e, task.sign);
    return e;
  }

  void add_bits(Epilogue& e, int index) {
    const Node& sign = node(index);
    const BitPlace& to = memory_.bits(index);
    e.bits = to.data;
    e.bits_image = to.image;
    e.bits_at = pixels(sign.value, to.row, to.pixel);
    if (sign.op < 0) {  // packs +1 and -1
      e.threshold = keep(std::vector<float>(sign.value.c + kBlock)).data();
      return;
    }
    const Prepared& p = prepared_[sign.op];
    e.threshold = p.rows.a.data() + sign.channel;
    if (!p.flip.empty()) e.flip = p.flip.data() + sign.channel;
  }

  // A step of the kernel over all tiles.
  template <class Producer>
  Step tile_step(void (*run)(const Producer&, const Job&, const Range&),
                 const Producer& producer, const Task& task,
                 const std::vector<Block>& blocks, size_t weight_bytes,
                 double tile_cost, std::vector<PostOp> first = {},
                 int64_t words = 0) {
    const Sheet sheet(node(task.result).value);
    const int64_t pixels = sheet.pixels();
    Job job{};
    job.blocks = blocks.data();
    job.band = band_pixels(weight_bytes,
                           window_bytes(words, kernel_.code_bytes), pixels);
    job.epilogue = epilogue(task, std::move(first));
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
    const Node& from = node(task.producer);
    const Value& value = node(task.result).value;
    Load load{};
    if (from.value.sign) {
      const BitPlace& place = memory_.bits(task.producer);
      load.bits = place.data;
      load.bits_image = place.image;
      load.bits_at = pixels(value, place.row, place.pixel);
    } else {
      load.in = operand(task.producer, value);
    }
    return tile_step(kernel_.load, load, task, plain_blocks(value.c), 0, 0.);
  }

  Step pool_step(const Task& task) {
    const Node& n = node(task.producer);
    const Value& in = input_value(n);
    const Operation& op = operation(n);
    const AxisTable& rows = keep(axis_table(op, 0, in.h, n.value.h));
    const AxisTable& columns = keep(axis_table(op, 1, in.w, n.value.w));
    const RealPlace& from = source(n);
    const Pool pool{from.data,         in.pixels() * from.pitch,
                    in.w * from.pitch, from.pitch,
                    n.value.w,         op.kind == Kind::kMaxPool2d,
                    rows.axis(),       columns.axis()};
    const double taps = static_cast<double>(in.pixels()) /
                        static_cast<double>(n.value.pixels());
    return tile_step(kernel_.pool, pool, task, plain_blocks(n.value.c), 0,
                     kRealCost * taps);
  }

  Step binary_step(const Task& task) {
    const Node& n = node(task.producer);
    const Value& in = input_value(n);
    const Operation& op = operation(n);
    const Prepared& p = prepared_[n.op];
    const BitPlace& from = memory_.bits(n.inputs[0]);
    const BinaryTables& t =
        keep(binary_tables(op, p, in, n.value, from.row, from.pixel));
    const BinaryConv conv{
        from.data - op.padding[0] * from.row - op.padding[1] * from.pixel,
        from.image,
        pixels(n.value, op.stride[0] * from.row, op.stride[1] * from.pixel),
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
    const Node& n = node(task.producer);
    const Operation& op = operation(n);
    const Prepared& p = prepared_[n.op];
    const Value& in = input_value(n);
    const Sheet sheet(in);
    const RealPlace& from = source(n);
    const auto& zeros = keep(std::vector<float>(p.channels));
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
      conv.padding[i] = op.padding[i];
      conv.dilation[i] = op.dilation[i];
    }
    conv.channels = p.channels;
    conv.grouped = op.groups > 1;
    const Sheet out(n.value);
    conv.in_at =
        pixels(n.value, op.stride[0] * conv.row, op.stride[1] * conv.pixel);
    conv.inside = keep(inside_table(conv, out.height, out.width)).data();
    conv.zeros = zeros.data();
    conv.weight = p.real_weight.data();
    conv.bias = p.shift.data();
    const double taps =
        static_cast<double>(p.kernel[0] * p.kernel[1] * p.channels);
    return tile_step(kernel_.real_conv, conv, task, p.blocks,
                     p.real_weight.size() * sizeof(float), kRealCost * taps,
                     scale_and_shift(p));
  }

  // Where they are not part of the convolution.
  static std::vector<PostOp> scale_and_shift(const Prepared& p) {
    if (p.rows.a.empty()) return {};
    std::vector<PostOp> ops(1);
    ops[0].kind = Post::kAffine;
    set_rows(ops[0], p.rows, 0);
    return ops;
  }

  const Graph& graph_;
  const Program& program_;
  const std::vector<Prepared>& prepared_;
  const Kernel& kernel_;
  const Tasks& tasks_;
  const Memory& memory_;
  const float*& input_;
  Tables& tables_;
  std::map<std::array<int64_t, 4>, const int32_t*> pixel_tables_;
};

}  // namespace

std::vector<Step> make_steps(const Graph& graph, const Program& program,
                             const std::vector<Prepared>& prepared,
                             const Kernel& kernel, const Tasks& tasks,
                             const Memory& memory, const float*& input,
                             Tables& tables) {
  StepMaker maker(graph, program, prepared, kernel, tasks, memory, input,
                  tables);
  std::vector<Step> steps;
  for (const Task& task : tasks.tasks) steps.push_back(maker.make(task));
  return steps;
}

}  // namespace mmreact
