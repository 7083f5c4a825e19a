// What steps are made of, and the tables that are made for them.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "memory.h"
#include "tables.h"

namespace mmreact {

// What steps point to.
using Tables = std::vector<std::shared_ptr<const void>>;

struct PlanParts {
  PlanParts(const Graph& graph_in, const Program& program_in,
            const std::vector<Prepared>& prepared_in, const Tasks& tasks_in,
            const Memory& memory_in, Tables& tables_in)
      : graph(graph_in),
        program(program_in),
        prepared(prepared_in),
        tasks(tasks_in),
        memory(memory_in),
        tables(tables_in) {}

  const Node& node(int i) const { return graph.nodes[i]; }
  const Operation& operation(const Node& n) const {
    return program.operations[n.op];
  }
  const Value& input_value(const Node& n) const {
    return node(n.inputs[0]).value;
  }
  const RealPlace& source(const Node& n) const {
    return memory.real(n.inputs[0]);
  }

  template <class T>
  T& keep(T table) {
    auto kept = std::make_shared<T>(std::move(table));
    tables.push_back(kept);
    return *kept;
  }

  // A table of the pixels of a value, shared by all that need the same.
  const int32_t* pixels(const Value& value, int64_t row, int64_t pixel) {
    const Sheet sheet(value);
    auto& table = pixel_tables[{sheet.height, sheet.width, row, pixel}];
    if (!table)
      table = keep(pixel_table(sheet.height, sheet.width, row, pixel)).data();
    return table;
  }

  const Graph& graph;
  const Program& program;
  const std::vector<Prepared>& prepared;
  const Tasks& tasks;
  const Memory& memory;
  Tables& tables;
  std::map<std::array<int64_t, 4>, const int32_t*> pixel_tables;
};

}  // namespace mmreact
