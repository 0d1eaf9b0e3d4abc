// The scan over one tile of at most TILE steps for one block of channels, forward and backward.
//
// Channels sit in the lanes, states in registers, time is sequential. With a_t = exp(delta_t A):
//   h_t = a_t h_{t-1} + delta_t x_t B_t          y_t += sum_n C_t h_t
// and backwards, G_t being the gradient of h_t and e_t = a_t h_{t-1}:
//   G_t = dy_t C_t + a_{t+1} G_{t+1}             dC_t += dy_t h_t     dB_t += delta_t x_t G_t
//   s_t += sum_n G_t B_t                         q_t += sum_n A G_t e_t      dA += sum_t delta_t G_t e_t
// so that dx_t = delta_t s_t and ddelta_t = x_t s_t + q_t. h is recomputed inside the tile, never divided back.
#pragma once

#include <cstdlib>

#include "kernels.h"
#include "simd.h"

namespace MAMBA_ISA {
namespace {

constexpr float LOG2_E = 1.44269504088896341f;
constexpr float LN_2 = 0.69314718055994531f;

// Rows of B and C of each step of the tile; element n is the n-th state.
struct Rows {
  const float* B[TILE];
  const float* C[TILE];
};

// NB states at a time: as many as the registers hold.
#if MAMBA_LANES == 16
constexpr int FORWARD_STATES = 16;
#else
constexpr int FORWARD_STATES = 4;
#endif
constexpr int BACKWARD_STATES = 4;
constexpr int SIDE_BY_SIDE = 4;  // decays computed together, so that their latencies overlap

// How many steps share the constants in registers.
constexpr int GROUP = LANES == 16 ? 8 : 4;

template <int G>
MAMBA_INLINE void scan_one_state(const vec* delta, const vec* delta_x, const Rows& rows, int t, vec A2, vec* state,
                                 vec* y) {
  Pack<G> decay;
  MAMBA_EACH(G) decay.at[i] = delta[t + i] * A2;
  decay = exp2_of(decay);
  vec h = *state;
  MAMBA_EACH(G) {
    h = decay.at[i] * h + delta_x[t + i] * rows.B[t + i][0];
    y[t + i] = h * rows.C[t + i][0];
  }
  *state = h;
}

template <int NB, bool FRESH>
MAMBA_INLINE void scan_states(int steps, const vec* delta, const vec* delta_x, const Rows& rows, int first, const vec* A2,
                              vec* state, vec* y) {
  constexpr int SIDE = NB < SIDE_BY_SIDE ? NB : SIDE_BY_SIDE;
  vec h[NB];
#pragma GCC unroll 16
  for (int n = 0; n < NB; ++n) h[n] = state[n];
  for (int t = 0; t < steps; ++t) {
    const float* B = rows.B[t] + first;
    const float* C = rows.C[t] + first;
    const vec step = delta[t], input = delta_x[t];
    vec sum[2] = {FRESH ? vec{} : y[t], vec{}};
#pragma GCC unroll 16
    for (int n = 0; n < NB; n += SIDE) {
      Pack<SIDE> decay;
      MAMBA_EACH(SIDE) decay.at[i] = step * A2[n + i];
      decay = exp2_of(decay);
      MAMBA_EACH(SIDE) h[n + i] = decay.at[i] * h[n + i] + input * B[n + i];
      MAMBA_EACH(SIDE) sum[i % 2] += h[n + i] * C[n + i];
    }
    y[t] = NB > 1 ? sum[0] + sum[1] : sum[0];
  }
#pragma GCC unroll 16
  for (int n = 0; n < NB; ++n) state[n] = h[n];
}

template <int NB>
MAMBA_INLINE int scan_some(int steps, const vec* delta, const vec* delta_x, const Rows& rows, int first, int states,
                           const vec* A2, vec* state, vec* y) {
  for (; first + NB <= states; first += NB) {
    if (first == 0) {
      scan_states<NB, true>(steps, delta, delta_x, rows, 0, A2, state, y);
    } else {
      scan_states<NB, false>(steps, delta, delta_x, rows, first, A2 + first, state + first, y);
    }
  }
  return first;
}

// All states of a tile: A2 = A log2(e) and state are (states); y is written, without the skip.
static void scan_tile(int steps, const vec* delta, const vec* delta_x, const Rows& rows, int states, const vec* A2,
                      vec* state, vec* y) {
  if (states == 1) {
    int t = 0;
    for (; t + GROUP <= steps; t += GROUP) scan_one_state<GROUP>(delta, delta_x, rows, t, *A2, state, y);
    for (; t < steps; ++t) scan_one_state<1>(delta, delta_x, rows, t, *A2, state, y);
    return;
  }
  int n = 0;
  if constexpr (FORWARD_STATES == 16) {
    n = scan_some<16>(steps, delta, delta_x, rows, n, states, A2, state, y);
    n = scan_some<8>(steps, delta, delta_x, rows, n, states, A2, state, y);
  }
  n = scan_some<4>(steps, delta, delta_x, rows, n, states, A2, state, y);
  scan_some<1>(steps, delta, delta_x, rows, n, states, A2, state, y);
}

// One block of channels during a tile of the backward pass.
struct GradTile {
  vec delta[TILE], delta_x[TILE], x[TILE], dy[TILE], slope[TILE];
  vec s[TILE], q[TILE];  // q is in units of log2(e): it is summed with A2
  vec ddelta[TILE];      // gradient of the step size before its softplus
};

struct GradScratch {
  vec decay[TILE * BACKWARD_STATES];    // a_t
  vec carried[TILE * BACKWARD_STATES];  // e_t = a_t h_{t-1}
  vec dB[TILE * BACKWARD_STATES], dC[TILE * BACKWARD_STATES];
};

template <int NB>
MAMBA_INLINE void recompute(int steps, const GradTile& tile, const Rows& rows, int first, const vec* A2, const vec* start,
                            GradScratch* scratch) {
  vec h[NB];
#pragma GCC unroll 4
  for (int n = 0; n < NB; ++n) h[n] = start[n];
  for (int t = 0; t < steps; ++t) {
    const float* B = rows.B[t] + first;
    const vec step = tile.delta[t], input = tile.delta_x[t];
    Pack<NB> decay;
    MAMBA_EACH(NB) decay.at[i] = step * A2[i];
    decay = exp2_of(decay);
    MAMBA_EACH(NB) {
      const vec carried = decay.at[i] * h[i];
      scratch->decay[t * NB + i] = decay.at[i];
      scratch->carried[t * NB + i] = carried;
      h[i] = carried + input * B[i];
    }
  }
}

// Adds to s, q of the tile and to dB, dC of the scratch, which a FRESH call writes first; sets dA. G is carried from the
// later tile to the earlier one.
template <int NB, bool FRESH>
MAMBA_INLINE void scan_back(int steps, GradTile* tile, const Rows& rows, int first, const vec* A2, const vec* start,
                            GradScratch* scratch, vec* G, vec* dA) {
  recompute<NB>(steps, *tile, rows, first, A2, start, scratch);
  vec carry[NB], sum_A[NB];
#pragma GCC unroll 4
  for (int n = 0; n < NB; ++n) carry[n] = G[n], sum_A[n] = vec{};
  for (int t = steps - 1; t >= 0; --t) {
    const float* B = rows.B[t] + first;
    const float* C = rows.C[t] + first;
    const vec step = tile->delta[t], input = tile->delta_x[t], dy = tile->dy[t];
    vec s = tile->s[t], q = tile->q[t];
#pragma GCC unroll 4
    for (int n = 0; n < NB; ++n) {
      const int at = t * NB + n;
      const vec carried = scratch->carried[at];
      const vec grad = dy * C[n] + carry[n];
      const vec h = carried + input * B[n];
      scratch->dC[at] = FRESH ? dy * h : scratch->dC[at] + dy * h;
      scratch->dB[at] = FRESH ? input * grad : scratch->dB[at] + input * grad;
      s += grad * B[n];
      const vec through = grad * carried;
      q += through * A2[n];
      sum_A[n] += through * step;
      carry[n] = grad * scratch->decay[at];
    }
    tile->s[t] = s;
    tile->q[t] = q;
  }
#pragma GCC unroll 4
  for (int n = 0; n < NB; ++n) G[n] = carry[n], dA[n] = sum_A[n];
}

// The lane sums of `parts` (steps, NB) go to out[t * stride + column].
template <int NB>
static void reduce_rows(const vec* parts, int steps, float* out, int64_t stride) {
  const int count = steps * NB;
  float sums[TILE * BACKWARD_STATES + LANES];
  for (int i = 0; i < count; i += LANES) {
    if (i + LANES <= count) {
      store(sums + i, sum_lanes(parts + i));
    } else {
      vec rest[LANES] = {};
      for (int j = i; j < count; ++j) rest[j - i] = parts[j];
      store(sums + i, sum_lanes(rest));
    }
  }
  for (int t = 0; t < steps; ++t) std::memcpy(out + t * stride, sums + t * NB, sizeof(float) * NB);
}

// A column of a row-major (channels, columns) matrix as lanes: element `column` of `count` channels.
MAMBA_INLINE vec gather_column(const float* matrix, int64_t columns, int64_t column, int count) {
  vec value = vec{};
  for (int lane = 0; lane < count; ++lane) value[lane] = matrix[lane * columns + column];
  return value;
}

MAMBA_INLINE void scatter_column(float* matrix, int64_t columns, int64_t column, int count, vec value) {
  for (int lane = 0; lane < count; ++lane) matrix[lane * columns + column] = value[lane];
}

// Room for `count` objects of vectors, to be given back by std::free.
template <typename T>
static T* make_room(int64_t count) {
  const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
  void* room = std::aligned_alloc(64, bytes);
  if (room == nullptr) std::abort();
  return static_cast<T*>(room);
}

MAMBA_INLINE int smaller(int64_t a, int64_t b) { return static_cast<int>(a < b ? a : b); }

}  // namespace
}  // namespace MAMBA_ISA
