// Steps over the rows of values, in plain loops.
#pragma once

#include "memory.h"
#include "workers.h"

namespace mmreact {

inline float* at(const RealPlace& place, const Sheet& sheet, int64_t image,
                 int64_t pixel) {
  return place.data + (image * sheet.pixels() + pixel) * place.pitch;
}

// Calls row(image, y) for all rows; `cost` is in nanoseconds for each number,
// roughly.
template <class Row>
Step over_rows(const Value& value, const Row& row, double cost = 0.7) {
  const Sheet sheet(value);
  Step step;
  step.units = sheet.images * sheet.height;
  step.cost = cost * static_cast<double>(step.units * sheet.width * value.c);
  step.run = [row, height = sheet.height](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) row(i / height, i % height);
  };
  return step;
}

}  // namespace mmreact
