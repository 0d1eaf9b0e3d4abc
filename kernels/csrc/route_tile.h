// What the passes of the routed scan share: the tokens of a tile, the constants of a block of channels, its step sizes.
//
// Tokens are read through the routes: nothing is copied per route. The step size is formed from its low-rank factors.
#pragma once

#include "scan_tile.h"

namespace MAMBA_ISA {
namespace {

constexpr int MOST_RANK = 64, MOST_STATES = 64;

constexpr int AHEAD = 24;  // steps from a prefetch to its use: grids beyond the caches jump a page at every step

// The tokens of a tile: their index and their packed parameters of this route; AHEAD more on either side, to be fetched.
struct Tokens {
  int64_t token[AHEAD + TILE + AHEAD];
  const float* dt[TILE + AHEAD];
  Rows rows;

  int64_t at(int t) const { return token[AHEAD + t]; }

  void set(const RouteScan& scan, int64_t batch, int64_t route, int64_t start, int steps) {
    const int64_t width = scan.rank + 2 * scan.state;
    const int32_t* table = scan.table + route * scan.steps + start;
    const int64_t last = scan.steps - start - 1;
    for (int t = -AHEAD; t < steps + AHEAD; ++t) {
      const int64_t inside = t < last ? (start + t > 0 ? t : -start) : last;
      token[AHEAD + t] = batch * scan.tokens + table[inside];
    }
    for (int t = 0; t < steps + AHEAD; ++t) dt[t] = scan.params + (at(t) * scan.routes + route) * width;
    for (int t = 0; t < steps; ++t) {
      rows.B[t] = dt[t] + scan.rank;
      rows.C[t] = rows.B[t] + scan.state;
    }
  }
};

// One block of channels with its constants on one route.
struct Block {
  int64_t channel;
  int count;
  vec D, bias;
  vec A2[MOST_STATES], dt_weight[MOST_RANK];

  void set(const RouteScan& scan, int64_t route, int64_t first) {
    channel = first;
    count = smaller(scan.dim - first, LANES);
    const int64_t row = route * scan.dim + first;
    D = load_first(scan.D + row, count);
    bias = load_first(scan.dt_bias + row, count);
    const float *decays = scan.A + row * scan.state, *weights = scan.dt_weight + row * scan.rank;
    for (int64_t n = 0; n < scan.state; ++n) A2[n] = gather_column(decays, scan.state, n, count) * LOG2_E;
    for (int64_t r = 0; r < scan.rank; ++r) dt_weight[r] = gather_column(weights, scan.rank, r, count);
  }
};

// D of all routes together.
MAMBA_INLINE vec sum_of_skips(const RouteScan& scan, const Block& block) {
  vec sum = vec{};
  for (int64_t route = 0; route < scan.routes; ++route) {
    sum += load_first(scan.D + route * scan.dim + block.channel, block.count);
  }
  return sum;
}

// dt_weight . dt + dt_bias at the steps whose packed parameters are `rows`.
template <int G>
MAMBA_INLINE Pack<G> raw_steps(const Block& block, const float* const* rows, int rank) {
  Pack<G> sum = {};
  for (int r = 0; r < rank; ++r) {
    const vec weight = block.dt_weight[r];
    MAMBA_EACH(G) sum.at[i] += weight * rows[i][r];
  }
  MAMBA_EACH(G) sum.at[i] += block.bias;  // last, so that a large bias rounds the sum once only
  return sum;
}

// delta = softplus(dt_weight . dt + dt_bias) and, with SLOPE, its derivative by the argument; the last steps of a short
// tile repeat its last token.
template <bool SLOPE>
static void step_sizes(const Block& block, const Tokens& tokens, int steps, int rank, vec* delta, vec* slope) {
  for (int t = 0; t < steps; t += GROUP) {
    const float* rows[GROUP];
    MAMBA_EACH(GROUP) rows[i] = tokens.dt[smaller(t + i, steps - 1)];
    const Pack<GROUP> raw = raw_steps<GROUP>(block, rows, rank);
    const Pack<GROUP> sizes = SLOPE ? softplus(raw, slope + t) : softplus(raw);
    MAMBA_EACH(GROUP) delta[t + i] = sizes.at[i];
  }
}

static float* saved_state(const RouteScan& scan, int64_t batch, int64_t route, int64_t tile, int64_t channel) {
  const int64_t tiles = block_count(scan.steps, TILE);
  return scan.states + ((batch * scan.routes + route) * tiles + tile) * scan.state * scan.dim + channel;
}

// Into the second level: rows a power of two apart would push each other out of the first.
MAMBA_INLINE void fetch(const float* from) { __builtin_prefetch(from, 0, 2); }

}  // namespace
}  // namespace MAMBA_ISA
