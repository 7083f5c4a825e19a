// Values whose pixels and channels are those of another one, or a constant.
#pragma once

#include "memory.h"
#include "workers.h"

namespace mmreact {

// Row, column and channel of the input for each of the result; -1 for the
// constant.
struct GatherMaps {
  std::vector<int32_t> rows, columns, channels;
  float fill = 0;

  // Whether the channels are those of the input, in order.
  bool keeps_channels() const;
};

// Of a Pad, Crop, ChannelShuffle, or of a Resize that is not bilinear.
GatherMaps gather_maps(const Operation& op, const Value& in, const Value& out);

Step gather_step(const Value& in, const RealPlace& from, const Value& out,
                 const RealPlace& to, GatherMaps maps);

}  // namespace mmreact
