#include "bit_memory.h"

#include <algorithm>
#include <limits>

namespace mmreact {

namespace {

constexpr int kEnd = std::numeric_limits<int>::max();

struct Border {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};

// Words with a border that are needed while the nodes first to last are
// computed.
struct BitSlot {
  int64_t images = 0, height = 0, width = 0, words = 0;
  Border border;
  int first = kEnd, last = -1;
  size_t offset = 0;  // in words

  bool same_geometry(const BitSlot& o) const {
    return images == o.images && height == o.height && width == o.width &&
           words == o.words && border.top == o.border.top &&
           border.bottom == o.border.bottom && border.left == o.border.left &&
           border.right == o.border.right;
  }
  int64_t row() const { return (border.left + width + border.right) * words; }
  int64_t image() const {
    return (border.top + height + border.bottom) * row();
  }
};

class BitPlanner {
 public:
  BitPlanner(const Graph& graph, const Program& program, const Tasks& tasks,
             const std::vector<int>& last_read, std::vector<BitPlace>& places)
      : graph_(graph),
        program_(program),
        tasks_(tasks),
        last_read_(last_read),
        places_(places) {}

  // Slots of bits are named by the node whose memory they are. Only slots of
  // one geometry share memory, so that borders stay zero.
  size_t place() {
    // Outer ones come first.
    for (int i = count() - 1; i >= 0; --i)
      if (node(i).kind == Kind::kConcat && node(i).value.sign) place_concat(i);
    std::vector<BitSlot> slots(count());
    for (int i = 0; i < count(); ++i) {
      if (!node(i).value.sign) continue;
      if (places_[i].slot < 0) places_[i].slot = i;
      BitSlot& slot = slots[places_[i].slot];
      slot.last = std::max(slot.last, last_read_[i]);
      if (places_[i].slot != i) continue;
      const Sheet sheet(node(i).value);
      slot.images = sheet.images;
      slot.height = sheet.height;
      slot.width = sheet.width;
      slot.words = words_of(i);
      slot.border = border_of(i);
    }
    for (const Task& task : tasks_.tasks) {
      const int made = task.sign >= 0 ? task.sign : task.result;
      if (!node(made).value.sign) continue;
      BitSlot& slot = slots[places_[made].slot];
      slot.first = std::min(slot.first, task.at);
      slot.last = std::max(slot.last, task.at);
    }
    const size_t total = share(slots);
    for (int i = 0; i < count(); ++i) {
      BitPlace& place = places_[i];
      if (place.slot < 0) continue;
      const BitSlot& slot = slots[place.slot];
      place.image = slot.image();
      place.row = slot.row();
      place.pixel = slot.words;
      place.word += static_cast<int64_t>(slot.offset) +
                    slot.border.top * slot.row() +
                    slot.border.left * slot.words;
    }
    return total;
  }

 private:
  const Node& node(int i) const { return graph_.nodes[i]; }
  int count() const { return static_cast<int>(graph_.nodes.size()); }

  static int64_t words(int64_t channels) {
    return (channels + kBlock - 1) / kBlock;
  }

  int64_t words_of(int i) const {
    if (node(i).kind != Kind::kRegroup) return words(node(i).value.c);
    const Operation& op = program_.operations[node(i).op];
    return op.groups * words(op.in_channels / op.groups);
  }

  // The inputs of a Concat of signs are parts of it.
  void place_concat(int i) {
    int64_t word = places_[i].word;
    for (const int input : node(i).inputs) {
      places_[input].slot = places_[i].slot < 0 ? i : places_[i].slot;
      places_[input].word = word;
      word += words(node(input).value.c);
    }
  }

  // The borders that the convolutions need that take a node.
  Border border_of(int i) const {
    Border border;
    for (int j = 0; j < count(); ++j) {
      const Node& conv = node(j);
      if (conv.kind != Kind::kBinaryConv2d || conv.inputs[0] != i) continue;
      const Operation& op = program_.operations[conv.op];
      const auto& kernel = op.arrays[0].shape;
      const auto behind = [&](int axis, int64_t out, int64_t in) {
        return (out - 1) * op.stride[axis] +
               op.dilation[axis] * (kernel[1 + axis] - 1) -
               conv.padding[axis] - (in - 1);
      };
      border.top = std::max(border.top, conv.padding[0]);
      border.left = std::max(border.left, conv.padding[1]);
      border.bottom =
          std::max(border.bottom, behind(0, conv.value.h, node(i).value.h));
      border.right =
          std::max(border.right, behind(1, conv.value.w, node(i).value.w));
    }
    return border;
  }

  // Returns the number of words of all.
  size_t share(std::vector<BitSlot>& slots) const {
    size_t total = 0;
    std::vector<int> order;
    for (int i = 0; i < count(); ++i)
      if (slots[i].first != kEnd) order.push_back(i);
    std::sort(order.begin(), order.end(),
              [&](int a, int b) { return slots[a].first < slots[b].first; });
    std::vector<BitSlot> used;  // with the time of the latest user
    for (const int i : order) {
      BitSlot* found = nullptr;
      for (BitSlot& u : used)
        if (u.same_geometry(slots[i]) && u.last < slots[i].first) found = &u;
      if (!found) {
        used.push_back(slots[i]);
        found = &used.back();
        found->offset = total;
        // The next one begins at a cache line.
        total += (slots[i].images * slots[i].image() + 15) / 16 * 16;
      }
      found->last = slots[i].last;
      slots[i].offset = found->offset;
    }
    return total;
  }

  const Graph& graph_;
  const Program& program_;
  const Tasks& tasks_;
  const std::vector<int>& last_read_;
  std::vector<BitPlace>& places_;
};

}  // namespace

size_t place_bits(const Graph& graph, const Program& program,
                  const Tasks& tasks, const std::vector<int>& last_read,
                  std::vector<BitPlace>& places) {
  return BitPlanner(graph, program, tasks, last_read, places).place();
}

}  // namespace mmreact
