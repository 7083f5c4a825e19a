#include "gather.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "resampling.h"
#include "rows.h"

namespace mmreact {

namespace {

// i -> begin + i step, -1 where that is not below n.
std::vector<int32_t> line(int64_t count, int64_t begin, int64_t step,
                          int64_t n) {
  std::vector<int32_t> map(count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t from = begin + i * step;
    map[i] = static_cast<int32_t>(from >= 0 && from < n ? from : -1);
  }
  return map;
}

std::vector<int32_t> shuffled(int64_t count, int64_t groups) {
  std::vector<int32_t> map(count);
  for (int64_t i = 0; i < count; ++i)
    map[i] = static_cast<int32_t>(i % groups * (count / groups) + i / groups);
  return map;
}

}  // namespace

bool GatherMaps::keeps_channels() const {
  for (size_t i = 0; i < channels.size(); ++i)
    if (channels[i] != static_cast<int32_t>(i)) return false;
  return true;
}

GatherMaps gather_maps(const Operation& op, const Value& in,
                       const Value& out) {
  const Sheet from(in), to(out);
  GatherMaps maps;
  maps.rows = line(to.height, 0, 1, from.height);
  maps.columns = line(to.width, 0, 1, from.width);
  maps.channels = line(out.c, 0, 1, in.c);
  if (op.kind == Kind::kPad) {
    maps.rows = line(to.height, -op.rows[0], 1, from.height);
    maps.columns = line(to.width, -op.columns[0], 1, from.width);
    maps.channels = line(out.c, -op.channels[0], 1, in.c);
    maps.fill = static_cast<float>(op.value);
  } else if (op.kind == Kind::kCrop) {
    maps.rows = line(to.height, op.rows[0], op.stride[0], from.height);
    maps.columns = line(to.width, op.columns[0], op.stride[1], from.width);
  } else if (op.kind == Kind::kChannelShuffle) {
    maps.channels = shuffled(out.c, op.groups);
  } else if (op.kind == Kind::kResize) {
    maps.rows = nearest(op.vertical, in.h, out.h);
    maps.columns = nearest(op.horizontal, in.w, out.w);
  } else {
    throw std::logic_error("this kind of node gathers nothing");
  }
  return maps;
}

Step gather_step(const Value& in, const RealPlace& from, const Value& out,
                 const RealPlace& to, GatherMaps maps) {
  const bool keeps = maps.keeps_channels();
  const auto m = std::make_shared<const GatherMaps>(std::move(maps));
  const Sheet source(in), sheet(out);
  return over_rows(out, [=](int64_t image, int64_t y) {
    const int64_t row = m->rows[y];
    for (int64_t x = 0; x < sheet.width; ++x) {
      float* const pixel = at(to, sheet, image, y * sheet.width + x);
      const int64_t column = m->columns[x];
      if (row < 0 || column < 0) {
        std::fill_n(pixel, out.c, m->fill);
        continue;
      }
      const float* const p =
          at(from, source, image, row * source.width + column);
      if (keeps) {
        std::memcpy(pixel, p, out.c * sizeof(float));
        continue;
      }
      for (int64_t c = 0; c < out.c; ++c)
        pixel[c] = m->channels[c] < 0 ? m->fill : p[m->channels[c]];
    }
  });
}

}  // namespace mmreact
