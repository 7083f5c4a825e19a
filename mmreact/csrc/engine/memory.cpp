#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "bit_memory.h"

namespace mmreact {

namespace {

constexpr int kEnd = std::numeric_limits<int>::max();
// Of the processor's large pages; values begin at cache lines.
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kLine = 64;

// Something that needs memory while the nodes first to last are computed.
struct Slot {
  size_t bytes = 0;
  int first = kEnd, last = -1;
  size_t offset = 0;
};

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

}  // namespace

std::vector<int> reads(const Graph& graph, const Tasks& tasks,
                       const Task& task) {
  std::vector<int> nodes;
  if (task.loads)
    nodes.push_back(task.producer);
  else
    nodes = graph.nodes[task.producer].inputs;
  int value = task.head;
  for (const int post : task.posts) {
    const int other = other_input(graph.nodes[post], value);
    if (other >= 0 && graph.nodes[other].kind != Kind::kConstant)
      nodes.push_back(tasks.pooled[other] ? graph.nodes[other].inputs[0]
                                          : other);
    value = post;
  }
  return nodes;
}

class MemoryPlanner {
 public:
  MemoryPlanner(Memory& memory, const Graph& graph, const Program& program,
                Tasks& tasks)
      : m_(memory),
        graph_(graph),
        program_(program),
        tasks_(tasks),
        last_read_(graph.nodes.size(), -1) {
    m_.real_.resize(graph.nodes.size());
    m_.bits_.resize(graph.nodes.size());
  }

  void plan() {
    find_last_reads();
    place_concats();
    copy_into_concats();
    place_real();
    bit_words_ = place_bits(graph_, program_, tasks_, last_read_, m_.bits_);
    allocate();
  }

 private:
  const Node& node(int i) const { return graph_.nodes[i]; }
  int count() const { return static_cast<int>(graph_.nodes.size()); }

  // The node whose memory a view is part of.
  int root(int i) const {
    while (is_view(graph_, i)) i = node(i).inputs[0];
    return i;
  }

  void find_last_reads() {
    for (const Task& task : tasks_.tasks)
      for (const int i : reads(graph_, tasks_, task))
        last_read_[root(i)] = std::max(last_read_[root(i)], task.at);
    // Copies into a Concat are made where it stands.
    for (int i = 0; i < count(); ++i)
      if (node(i).kind == Kind::kConcat)
        for (const int input : node(i).inputs)
          last_read_[root(input)] = std::max(last_read_[root(input)], i);
    for (const int i : graph_.results) last_read_[root(i)] = kEnd;
  }

  // Whether a task writes this node, which may then go anywhere.
  bool is_written(int i) const {
    for (const Task& task : tasks_.tasks)
      if (task.stored() == i && task.stores)
        return node(i).kind != Kind::kInput;
    return false;
  }

  int new_real_slot(int i, int64_t pitch) {
    const Sheet sheet(node(i).value);
    Slot slot;
    slot.bytes = sheet.images * sheet.pixels() * pitch * sizeof(float);
    slot.last = last_read_[i];
    slots_.push_back(slot);
    m_.real_[i] = {static_cast<int>(slots_.size()) - 1, 0, pitch, nullptr};
    return m_.real_[i].slot;
  }

  // The inputs of a Concat become parts of it; outer ones come first.
  void place_concats() {
    for (int i = count() - 1; i >= 0; --i)
      if (node(i).kind == Kind::kConcat && !node(i).value.sign)
        place_real_concat(i);
  }

  void place_real_concat(int i) {
    if (m_.real_[i].slot < 0) new_real_slot(i, node(i).value.c);
    const RealPlace place = m_.real_[i];
    Slot& slot = slots_[place.slot];
    int64_t channel = place.channel;
    for (const int input : node(i).inputs) {
      const bool part =
          m_.real_[input].slot < 0 &&
          (is_written(input) || (node(input).kind == Kind::kConcat));
      if (part) {
        m_.real_[input] = {place.slot, channel, place.pitch, nullptr};
        slot.last = std::max(slot.last, last_read_[input]);
      } else {
        copies_.push_back({i, input, channel - place.channel});
      }
      channel += node(input).value.c;
    }
    slot.last = std::max(slot.last, last_read_[i]);
  }

  void copy_into_concats() {
    for (const Copy& copy : copies_) {
      Task task;
      task.producer = task.head = task.result = copy.input;
      task.loads = true;
      task.at = copy.concat;
      task.concat = copy.concat;
      task.channel = copy.channel;
      tasks_.tasks.push_back(task);
    }
    std::stable_sort(tasks_.tasks.begin(), tasks_.tasks.end(),
                     [](const Task& a, const Task& b) { return a.at < b.at; });
  }

  void place_real() {
    size_t next = 0;
    for (int i = 0; i < count(); ++i) {
      if (is_view(graph_, i)) {
        RealPlace place = m_.real_[node(i).inputs[0]];
        if (node(i).kind == Kind::kSlice)
          place.channel += program_.operations[node(i).op].start;
        m_.real_[i] = place;
      }
      for (; next < tasks_.tasks.size() && tasks_.tasks[next].at == i; ++next)
        place_result(tasks_.tasks[next]);
    }
  }

  void place_result(const Task& task) {
    const int result = task.stored();
    if (task.concat >= 0) {
      touch(m_.real_[task.concat].slot, task.at);
      return;
    }
    if (node(result).value.sign || !task.stores) return;
    if (m_.real_[result].slot < 0) {
      const int operand = replaced_operand(task);
      if (operand >= 0) {
        m_.real_[result] = m_.real_[operand];
        slots_[m_.real_[result].slot].last = last_read_[result];
      } else {
        new_real_slot(result, node(result).value.c);
      }
    }
    touch(m_.real_[result].slot, task.at);
  }

  void touch(int slot, int at) {
    slots_[slot].first = std::min(slots_[slot].first, at);
    slots_[slot].last = std::max(slots_[slot].last, at);
  }

  // An operand of the result's shape that lies alone in its memory, and that
  // nothing needs but this task, pixel by pixel.
  int replaced_operand(const Task& task) const {
    const auto sources = reads(graph_, tasks_, task);
    for (const int i : sources) {
      const RealPlace& place = m_.real_[i];
      if (node(i).value.sign || place.slot < 0 || place.channel != 0 ||
          place.pitch != node(i).value.c ||
          !node(i).value.same_shape(node(task.stored()).value) ||
          slots_[place.slot].last > task.at)
        continue;
      bool alone = true;
      for (size_t k = 0; k < sources.size(); ++k) {
        const RealPlace& other = m_.real_[sources[k]];
        if (node(sources[k]).value.sign || other.slot != place.slot) continue;
        // A producer that loads nothing looks at neighbours.
        const bool neighbours =
            !task.loads && k < node(task.producer).inputs.size();
        alone &= sources[k] == i && !neighbours;
      }
      if (alone && !reads_pooled(task, place.slot)) return i;
    }
    return -1;
  }

  bool reads_pooled(const Task& task, int slot) const {
    for (const int post : task.posts)
      for (const int input : node(post).inputs)
        if (tasks_.pooled[input] &&
            m_.real_[node(input).inputs[0]].slot == slot)
          return true;
    return false;
  }

  // Large slots first, each at the lowest place that is free at its time.
  void pack_slots() {
    std::vector<Slot*> order;
    for (Slot& slot : slots_)
      if (slot.first != kEnd) order.push_back(&slot);
    std::stable_sort(
        order.begin(), order.end(),
        [](const Slot* a, const Slot* b) { return a->bytes > b->bytes; });
    std::vector<Slot*> placed;  // by offset
    for (Slot* slot : order) {
      size_t offset = 0;
      for (const Slot* other : placed) {
        if (other->last < slot->first || other->first > slot->last) continue;
        if (offset + slot->bytes <= other->offset) break;
        offset =
            std::max(offset, other->offset + round_up(other->bytes, kLine));
      }
      slot->offset = offset;
      placed.insert(std::upper_bound(placed.begin(), placed.end(), slot,
                                     [](const Slot* a, const Slot* b) {
                                       return a->offset < b->offset;
                                     }),
                    slot);
      real_bytes_ =
          std::max(real_bytes_, offset + round_up(slot->bytes, kLine));
    }
  }

  void allocate() {
    pack_slots();
    const size_t bits = bit_words_ * sizeof(uint32_t);
    m_.bytes_ = round_up(bits + real_bytes_ + kLine, kHugePage);
    void* block = std::aligned_alloc(kHugePage, m_.bytes_);
    if (!block) throw std::bad_alloc();
    m_.block_.reset(block);
#ifdef MADV_HUGEPAGE
    madvise(block, m_.bytes_, MADV_HUGEPAGE);
#endif
    std::memset(block, 0, bits);
    auto* const words = static_cast<uint32_t*>(block);
    char* const reals = static_cast<char*>(block) + bits;
    for (RealPlace& place : m_.real_)
      if (place.slot >= 0)
        place.data =
            reinterpret_cast<float*>(reals + slots_[place.slot].offset) +
            place.channel;
    for (BitPlace& place : m_.bits_)
      if (place.slot >= 0) place.data = words + place.word;
  }

  struct Copy {
    int concat, input;
    int64_t channel;
  };

  Memory& m_;
  const Graph& graph_;
  const Program& program_;
  Tasks& tasks_;
  std::vector<int> last_read_;  // the task, by the node where it is done
  std::vector<Slot> slots_;
  std::vector<Copy> copies_;
  size_t bit_words_ = 0, real_bytes_ = 0;
};

Memory::Memory(const Graph& graph, const Program& program, Tasks& tasks) {
  MemoryPlanner(*this, graph, program, tasks).plan();
}

void Memory::Free::operator()(void* p) const { std::free(p); }

}  // namespace mmreact
