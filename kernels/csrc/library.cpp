// The torch operators over the kernels, on torch's stable ABI: one build serves every torch from 2.10 on.
//
// The instruction set is chosen when the library loads, by what the processor has; select_isa forces another one.
// Outputs are allocated by the caller (mamba_kernels/*/cpu.py), which also makes inputs fp32 and lays them out.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <string>

#include "kernels.h"

#define MAMBA_DECLARE(isa)                                                \
  namespace isa {                                                         \
  void selective_forward(const SelectiveScan&, int64_t, int64_t);         \
  void selective_backward(const SelectiveScan&, int64_t, int64_t);        \
  void route_forward(const RouteScan&, int64_t, int64_t);                 \
  void route_backward(const RouteScan&, int64_t, int64_t);                \
  }
#define MAMBA_TABLE(name, lanes, isa) \
  {name, lanes, isa::selective_forward, isa::selective_backward, isa::route_forward, isa::route_backward}

MAMBA_DECLARE(mamba_baseline)
#if defined(__x86_64__)
MAMBA_DECLARE(mamba_avx2)
MAMBA_DECLARE(mamba_avx512)
#endif

namespace {

using torch::stable::Tensor;

const Kernels TABLES[] = {
#if defined(__x86_64__)
    MAMBA_TABLE("avx512", 16, mamba_avx512),
    MAMBA_TABLE("avx2", 8, mamba_avx2),
#endif
    MAMBA_TABLE("baseline", 4, mamba_baseline),
};

bool runs_here(const std::string& isa) {
#if defined(__x86_64__)
  if (isa == "avx512") {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  }
  if (isa == "avx2") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return isa == "baseline";
}

const Kernels* best() {
  for (const Kernels& table : TABLES) {
    if (runs_here(table.name)) return &table;
  }
  return nullptr;
}

const Kernels* active = best();

// 0 where the processor lacks the set or the build does not know it, else its number of lanes.
int64_t select_isa(std::string isa) {
  for (const Kernels& table : TABLES) {
    if (isa == table.name && runs_here(isa)) {
      active = &table;
      return table.lanes;
    }
  }
  return 0;
}

int64_t lanes() { return active->lanes; }

float* data(const Tensor& tensor) { return static_cast<float*>(tensor.mutable_data_ptr()); }
float* data_or_null(const Tensor& tensor) { return tensor.numel() ? data(tensor) : nullptr; }

// Asks for pages of 2 MiB under a large array that is about to be written: fewer page faults, and a column route, whose
// rows lie many small pages apart, finds their addresses again. Only a wish; a system that does not know it goes on.
void wish_large_pages(const Tensor& tensor) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t PAGE = uintptr_t{1} << 21;
  const uintptr_t start = reinterpret_cast<uintptr_t>(tensor.mutable_data_ptr());
  const uintptr_t first = (start + PAGE - 1) / PAGE * PAGE, end = (start + tensor.numel() * sizeof(float)) / PAGE * PAGE;
  if (end > first) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

// B and C are (batch, groups, length or 1, state), contiguous.
SelectiveScan describe(const Tensor& u, const Tensor& delta, const Tensor& A, const Tensor& B, const Tensor& C,
                       const Tensor& D, const Tensor& delta_bias, bool delta_softplus) {
  SelectiveScan scan = {};
  scan.batch = u.size(0), scan.dim = u.size(1), scan.length = u.size(2);
  scan.state = A.size(1), scan.groups = B.size(1);
  scan.delta_softplus = delta_softplus;
  scan.u = data(u), scan.u_batch = u.stride(0), scan.u_dim = u.stride(1);
  scan.delta = data(delta), scan.delta_batch = delta.stride(0), scan.delta_dim = delta.stride(1);
  scan.A = data(A), scan.B = data(B), scan.C = data(C);
  scan.B_group = B.size(2) * scan.state, scan.B_step = B.size(2) == 1 ? 0 : scan.state;
  scan.C_group = C.size(2) * scan.state, scan.C_step = C.size(2) == 1 ? 0 : scan.state;
  scan.D = data_or_null(D), scan.delta_bias = data_or_null(delta_bias);
  return scan;
}

void selective_forward(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor D, Tensor delta_bias,
                       bool delta_softplus, Tensor y, Tensor last_state, Tensor states) {
  SelectiveScan scan = describe(u, delta, A, B, C, D, delta_bias, delta_softplus);
  scan.y = data(y), scan.last_state = data(last_state), scan.states = data_or_null(states);
  for (const Tensor* result : {&y, &states}) wish_large_pages(*result);
  const Kernels* kernels = active;
  const int64_t tasks = scan.batch * scan.groups * block_count(scan.dim / scan.groups, kernels->lanes);
  torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    kernels->selective_forward(scan, begin, end);
  });
}

void selective_backward(Tensor dy, Tensor dlast, Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor D,
                        Tensor delta_bias, bool delta_softplus, Tensor states, Tensor du, Tensor ddelta, Tensor dA,
                        Tensor dB, Tensor dC, Tensor dD, Tensor ddelta_bias) {
  SelectiveScan scan = describe(u, delta, A, B, C, D, delta_bias, delta_softplus);
  scan.dy = data(dy), scan.dlast = data_or_null(dlast), scan.states = data(states);
  scan.du = data(du), scan.ddelta = data(ddelta), scan.dA = data(dA), scan.dB = data(dB), scan.dC = data(dC);
  scan.dD = data_or_null(dD), scan.ddelta_bias = data_or_null(ddelta_bias);
  scan.chunks = dB.size(0);
  for (const Tensor* result : {&du, &ddelta, &dB, &dC}) wish_large_pages(*result);
  const Kernels* kernels = active;
  torch::stable::parallel_for(0, scan.batch * scan.groups * scan.chunks, 1, [&](int64_t begin, int64_t end) {
    kernels->selective_backward(scan, begin, end);
  });
}

RouteScan describe(const Tensor& x, const Tensor& params, const Tensor& dt_weight, const Tensor& dt_bias,
                   const Tensor& A, const Tensor& D, const Tensor& table) {
  RouteScan scan = {};
  scan.batch = x.size(0), scan.tokens = x.size(1), scan.dim = x.size(2);
  scan.routes = table.size(0), scan.steps = table.size(1);
  scan.state = A.size(2), scan.rank = dt_weight.size(2);
  scan.x = data(x), scan.params = data(params), scan.dt_weight = data(dt_weight);
  scan.dt_bias = data(dt_bias), scan.A = data(A), scan.D = data(D);
  scan.table = static_cast<const int32_t*>(table.const_data_ptr());
  const int64_t entries = scan.routes * scan.steps;
  int32_t least = 0, most = 0;
  for (int64_t i = 0; i < entries; ++i) {
    least = scan.table[i] < least ? scan.table[i] : least;
    most = scan.table[i] > most ? scan.table[i] : most;
  }
  STD_TORCH_CHECK(least >= 0 && most < scan.tokens, "routes hold token ", least < 0 ? least : most,
                  "; allowed: 0 to ", scan.tokens - 1);
  return scan;
}

void route_forward(Tensor x, Tensor params, Tensor dt_weight, Tensor dt_bias, Tensor A, Tensor D, Tensor table,
                   Tensor y, Tensor states) {
  RouteScan scan = describe(x, params, dt_weight, dt_bias, A, D, table);
  scan.y = data(y), scan.states = data_or_null(states);
  for (const Tensor* result : {&y, &states}) wish_large_pages(*result);
  const Kernels* kernels = active;
  const int64_t tasks = scan.batch * block_count(scan.dim, kernels->lanes);
  torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    kernels->route_forward(scan, begin, end);
  });
}

int64_t window_steps(const RouteScan& scan) {
  const int64_t end = scan.last_tile * TILE;
  return (end < scan.steps ? end : scan.steps) - scan.first_tile * TILE;
}

// dparams of the window's tokens, [begin, end) of all batch items: the chunks of channels added in order. Every token of a
// route is visited once, so that the first chunk writes.
void merge_partials(const RouteScan& scan, int64_t begin, int64_t end) {
  const int64_t width = scan.rank + 2 * scan.state;
  const int32_t* table = scan.table + scan.route * scan.steps + scan.first_tile * TILE;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t batch = i / window_steps(scan), step = i % window_steps(scan);
    const int64_t token = batch * scan.tokens + table[step];
    float* to = scan.dparams + (token * scan.routes + scan.route) * width;
    for (int64_t chunk = 0; chunk < scan.chunks; ++chunk) {
      const float* from = scan.partial + ((chunk * scan.batch + batch) * scan.window + step) * width;
      for (int64_t column = 0; column < width; ++column) to[column] = chunk ? to[column] + from[column] : from[column];
    }
  }
}

void route_backward(Tensor dy, Tensor x, Tensor params, Tensor dt_weight, Tensor dt_bias, Tensor A, Tensor D,
                    Tensor table, Tensor states, Tensor partial, Tensor dx, Tensor dparams, Tensor ddt_weight,
                    Tensor ddt_bias, Tensor dA, Tensor dD) {
  RouteScan scan = describe(x, params, dt_weight, dt_bias, A, D, table);
  scan.dy = data(dy), scan.states = data(states), scan.partial = data(partial), scan.dx = data(dx);
  scan.dparams = data(dparams), scan.ddt_weight = data(ddt_weight), scan.ddt_bias = data(ddt_bias);
  scan.dA = data(dA), scan.dD = data(dD), scan.chunks = partial.size(0), scan.window = partial.size(2);
  for (const Tensor* result : {&dx, &dparams, &partial}) wish_large_pages(*result);
  const Kernels* kernels = active;
  const int64_t vectors = scan.batch * block_count(scan.dim, kernels->lanes) * running_rows(scan);
  const Tensor running = torch::stable::new_empty(dx, {vectors, kernels->lanes});
  scan.running = data(running);
  const int64_t tiles = block_count(scan.steps, TILE), most = scan.window / TILE > 0 ? scan.window / TILE : 1;
  for (scan.route = 0; scan.route < scan.routes; ++scan.route) {
    for (scan.last_tile = tiles; scan.last_tile > 0; scan.last_tile = scan.first_tile) {
      scan.first_tile = scan.last_tile > most ? scan.last_tile - most : 0;
      torch::stable::parallel_for(0, scan.batch * scan.chunks, 1, [&](int64_t begin, int64_t end) {
        kernels->route_backward(scan, begin, end);
      });
      torch::stable::parallel_for(0, scan.batch * window_steps(scan), 256, [&](int64_t begin, int64_t end) {
        merge_partials(scan, begin, end);
      });
    }
  }
}

}  // namespace

STABLE_TORCH_LIBRARY(mamba_kernels_cpu, m) {
  m.def("select_isa(str isa) -> int");
  m.def("lanes() -> int");
  m.def(
      "selective_forward(Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor D, Tensor delta_bias, "
      "bool delta_softplus, Tensor(a!) y, Tensor(b!) last_state, Tensor(c!) states) -> ()");
  m.def(
      "selective_backward(Tensor dy, Tensor dlast, Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor D, "
      "Tensor delta_bias, bool delta_softplus, Tensor states, Tensor(a!) du, Tensor(b!) ddelta, Tensor(c!) dA, "
      "Tensor(d!) dB, Tensor(e!) dC, Tensor(f!) dD, Tensor(g!) ddelta_bias) -> ()");
  m.def(
      "route_forward(Tensor x, Tensor params, Tensor dt_weight, Tensor dt_bias, Tensor A, Tensor D, Tensor table, "
      "Tensor(a!) y, Tensor(b!) states) -> ()");
  m.def(
      "route_backward(Tensor dy, Tensor x, Tensor params, Tensor dt_weight, Tensor dt_bias, Tensor A, Tensor D, "
      "Tensor table, Tensor states, Tensor(a!) partial, Tensor(b!) dx, Tensor(c!) dparams, Tensor(d!) ddt_weight, "
      "Tensor(e!) ddt_bias, Tensor(f!) dA, Tensor(g!) dD) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(mamba_kernels_cpu, CompositeExplicitAutograd, m) {
  m.impl("select_isa", TORCH_BOX(&select_isa));
  m.impl("lanes", TORCH_BOX(&lanes));
}

STABLE_TORCH_LIBRARY_IMPL(mamba_kernels_cpu, CPU, m) {
  m.impl("selective_forward", TORCH_BOX(&selective_forward));
  m.impl("selective_backward", TORCH_BOX(&selective_backward));
  m.impl("route_forward", TORCH_BOX(&route_forward));
  m.impl("route_backward", TORCH_BOX(&route_backward));
}
