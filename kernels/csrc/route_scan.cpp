// The routed scan on channel-last tokens, forward and backward; compiled once per instruction set.
//
// Tokens are read through the routes: nothing is copied per route. The step size is formed from its low-rank factors
// inside the kernel. Forward, a task is one block of LANES channels of one batch item and walks all routes in turn, so
// that it alone owns its columns of y; with one state, neighbouring tasks of a thread go together as a span. Backward,
// the routes are passes of the caller; a task is a chunk of blocks, which owns its columns of dx and a partial sum of the
// parameters' gradients in step order, which library.cpp adds up.
#include "scan_tile.h"

namespace MAMBA_ISA {
namespace {

constexpr int MOST_RANK = 64, MOST_STATES = 64;

constexpr int AHEAD = 16;  // steps from a prefetch to its use: grids beyond the caches jump a page at every step
constexpr int SPAN = 12;   // most blocks of a span

// The tokens of a tile: their index and their packed parameters of this route.
struct Tokens {
  int64_t token[TILE + AHEAD];
  const float* dt[TILE + AHEAD];
  Rows rows;

  void set(const RouteScan& scan, int64_t batch, int64_t route, int64_t start, int steps) {
    const int64_t width = scan.rank + 2 * scan.state;
    const int32_t* table = scan.table + route * scan.steps + start;
    const int64_t last = scan.steps - start - 1;
    for (int t = 0; t < steps + AHEAD; ++t) {
      token[t] = batch * scan.tokens + table[t < last ? t : last];
      dt[t] = scan.params + (token[t] * scan.routes + route) * width;
    }
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

// How many steps share the constants in registers.
constexpr int GROUP = LANES == 16 ? 8 : 4;

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

// The rows of a block at step t.
MAMBA_INLINE void fetch_row(const RouteScan& scan, const Block& block, const Tokens& tokens, int t) {
  const int64_t at = tokens.token[t] * scan.dim + block.channel;
  fetch(scan.x + at);
  fetch(scan.y + at);
}

// G steps of a block with one state, without leaving the registers. The state is carried in *state.
template <int G, bool FULL>
MAMBA_INLINE void one_state(const RouteScan& scan, const Block& block, const Tokens& tokens, int t, bool add,
                            vec* state) {
  const int lanes = FULL ? LANES : block.count, rank = static_cast<int>(scan.rank);
  const float* const* rows = tokens.dt + t;
  MAMBA_EACH(G) fetch_row(scan, block, tokens, t + i + AHEAD);
  const Pack<G> delta = softplus(raw_steps<G>(block, rows, rank));
  Pack<G> decay = delta;
  MAMBA_EACH(G) decay.at[i] *= block.A2[0];
  decay = exp2_of(decay);
  Pack<G> x, y;
  MAMBA_EACH(G) x.at[i] = load_first(scan.x + tokens.token[t + i] * scan.dim + block.channel, lanes);
  vec h = *state;
  MAMBA_EACH(G) {
    h = decay.at[i] * h + delta.at[i] * x.at[i] * rows[i][rank];
    y.at[i] = h * rows[i][rank + 1] + block.D * x.at[i];
  }
  *state = h;
  MAMBA_EACH(G) {
    float* to = scan.y + tokens.token[t + i] * scan.dim + block.channel;
    store_first(to, add ? y.at[i] + load_first(to, lanes) : y.at[i], lanes);
  }
}

// Neighbouring blocks take a group of steps in turn: they share its tokens and lie side by side in memory.
struct Span {
  Block block;
  vec state[MOST_STATES];
};

template <int G>
static void one_state_steps(const RouteScan& scan, const Tokens& tokens, int t, bool add, Span* spans, int count) {
  MAMBA_EACH(G) fetch(tokens.dt[t + i + AHEAD]);
  for (int i = 0; i < count; ++i) {
    if (spans[i].block.count == LANES) {
      one_state<G, true>(scan, spans[i].block, tokens, t, add, spans[i].state);
    } else {
      one_state<G, false>(scan, spans[i].block, tokens, t, add, spans[i].state);
    }
  }
}

static void many_states(const RouteScan& scan, const Block& block, const Tokens& tokens, int steps, bool add,
                        vec* state) {
  vec delta[TILE], delta_x[TILE], y[TILE];
  step_sizes<false>(block, tokens, steps, static_cast<int>(scan.rank), delta, nullptr);
  for (int t = 0; t < steps; ++t) {
    fetch_row(scan, block, tokens, t + AHEAD);
    const vec x = load_first(scan.x + tokens.token[t] * scan.dim + block.channel, block.count);
    delta_x[t] = delta[t] * x;
  }
  scan_tile(steps, delta, delta_x, tokens.rows, static_cast<int>(scan.state), block.A2, state, y);
  for (int t = 0; t < steps; ++t) {
    const int64_t at = tokens.token[t] * scan.dim + block.channel;
    vec total = y[t] + block.D * load_first(scan.x + at, block.count);
    if (add) total += load_first(scan.y + at, block.count);
    store_first(scan.y + at, total, block.count);
  }
}

static void forward_route(const RouteScan& scan, int64_t batch, int64_t route, Span* spans, int count) {
  const bool add = route > 0 || scan.steps < scan.tokens;
  Tokens tokens;
  for (int64_t start = 0; start < scan.steps; start += TILE) {
    const int steps = smaller(scan.steps - start, TILE);
    tokens.set(scan, batch, route, start, steps);
    for (int i = 0; i < count; ++i) {
      const Block& block = spans[i].block;
      vec* state = spans[i].state;
      if (scan.states) {
        float* saved = saved_state(scan, batch, route, start / TILE, block.channel);
        for (int n = 0; n < scan.state; ++n) store_first(saved + n * scan.dim, state[n], block.count);
      }
      if (scan.state > 1) many_states(scan, block, tokens, steps, add, state);
    }
    if (scan.state == 1) {
      int t = 0;
      for (; t + GROUP <= steps; t += GROUP) one_state_steps<GROUP>(scan, tokens, t, add, spans, count);
      for (; t < steps; ++t) one_state_steps<1>(scan, tokens, t, add, spans, count);
    }
  }
}

static void forward(const RouteScan& scan, int64_t begin, int64_t end) {
  const int64_t blocks = block_count(scan.dim, LANES);
  const int most = scan.state > 1 ? 1 : SPAN;
  Span* spans = make_room<Span>(most);
  while (begin < end) {
    const int64_t first = begin % blocks;
    const int count = smaller(smaller(end - begin, blocks - first), most);
    for (int64_t route = 0; route < scan.routes; ++route) {
      for (int i = 0; i < count; ++i) {
        spans[i].block.set(scan, route, (first + i) * LANES);
        for (int n = 0; n < scan.state; ++n) spans[i].state[n] = vec{};
      }
      forward_route(scan, begin / blocks, route, spans, count);
    }
    begin += count;
  }
  std::free(spans);
}

// A block of a backward task with its running gradients; `*_error` are the carried roundings.
struct BackBlock {
  Block block;
  vec G[MOST_STATES], dA[MOST_STATES], dA_error[MOST_STATES];
  vec ddt_weight[MOST_RANK], ddt_weight_error[MOST_RANK];
  vec dD, dD_error, dbias, dbias_error;
  GradTile tile;
};

static void load_back(const RouteScan& scan, const Tokens& tokens, int steps, BackBlock* part) {
  const Block& block = part->block;
  GradTile& tile = part->tile;
  step_sizes<true>(block, tokens, steps, static_cast<int>(scan.rank), tile.delta, tile.slope);
  for (int t = 0; t < steps; ++t) {
    const int64_t at = tokens.token[t] * scan.dim + block.channel;
    tile.x[t] = load_first(scan.x + at, block.count);
    tile.dy[t] = load_first(scan.dy + at, block.count);
    tile.delta_x[t] = tile.delta[t] * tile.x[t];
    tile.s[t] = tile.q[t] = vec{};
  }
}

static void finish_tile(const RouteScan& scan, const Tokens& tokens, int steps, BackBlock* part) {
  const Block& block = part->block;
  GradTile& tile = part->tile;
  const bool first_visit = scan.route == 0 && scan.steps == scan.tokens;
  vec sum_D = vec{}, sum_bias = vec{};
  for (int t = 0; t < steps; ++t) {
    tile.ddelta[t] = (tile.x[t] * tile.s[t] + LN_2 * tile.q[t]) * tile.slope[t];
    sum_bias += tile.ddelta[t];
    sum_D += tile.dy[t] * tile.x[t];
    float* to = scan.dx + tokens.token[t] * scan.dim + block.channel;
    vec dx = tile.delta[t] * tile.s[t] + block.D * tile.dy[t];
    if (!first_visit) dx += load_first(to, block.count);
    store_first(to, dx, block.count);
  }
  add_carefully(&part->dD, &part->dD_error, sum_D);
  add_carefully(&part->dbias, &part->dbias_error, sum_bias);
}

template <int NB>
static void back_states(const RouteScan& scan, int64_t batch, int64_t tile, int steps, int first, const Tokens& tokens,
                        BackBlock* parts, int count, GradScratch* scratch, float* out) {
  for (int i = 0; i < count; ++i) {
    BackBlock& part = parts[i];
    vec saved[NB], dA[NB];
    const float* from = saved_state(scan, batch, scan.route, tile, part.block.channel);
    for (int n = 0; n < NB; ++n) saved[n] = load_first(from + (first + n) * scan.dim, part.block.count);
    const vec* A2 = part.block.A2 + first;
    if (i == 0) {
      scan_back<NB, true>(steps, &part.tile, tokens.rows, first, A2, saved, scratch, part.G + first, dA);
    } else {
      scan_back<NB, false>(steps, &part.tile, tokens.rows, first, A2, saved, scratch, part.G + first, dA);
    }
    for (int n = 0; n < NB; ++n) add_carefully(&part.dA[first + n], &part.dA_error[first + n], dA[n]);
  }
  const int64_t width = scan.rank + 2 * scan.state;
  reduce_rows<NB>(scratch->dB, steps, out + scan.rank + first, width);
  reduce_rows<NB>(scratch->dC, steps, out + scan.rank + scan.state + first, width);
}

// Gradients of NB columns of the low-rank step sizes: ddt_t = sum_d ddelta dt_weight, ddt_weight = sum_t ddelta dt_t.
template <int NB>
static void back_rank(const RouteScan& scan, int steps, int first, const Tokens& tokens, BackBlock* parts, int count,
                      GradScratch* scratch, float* out) {
  vec* sums = scratch->dB;
  for (int t = 0; t < steps; ++t) {
    vec sum[NB] = {};
    for (int i = 0; i < count; ++i) {
#pragma GCC unroll 4
      for (int r = 0; r < NB; ++r) sum[r] += parts[i].tile.ddelta[t] * parts[i].block.dt_weight[first + r];
    }
#pragma GCC unroll 4
    for (int r = 0; r < NB; ++r) sums[t * NB + r] = sum[r];
  }
  reduce_rows<NB>(sums, steps, out + first, scan.rank + 2 * scan.state);
  for (int i = 0; i < count; ++i) {
    vec sum[NB] = {};
    for (int t = 0; t < steps; ++t) {
#pragma GCC unroll 4
      for (int r = 0; r < NB; ++r) sum[r] += parts[i].tile.ddelta[t] * tokens.dt[t][first + r];
    }
    for (int r = 0; r < NB; ++r) {
      add_carefully(&parts[i].ddt_weight[first + r], &parts[i].ddt_weight_error[first + r], sum[r]);
    }
  }
}

static void back_tile(const RouteScan& scan, int64_t batch, int64_t chunk, int64_t tile, BackBlock* parts, int count,
                      GradScratch* scratch) {
  const int64_t start = tile * TILE;
  const int steps = smaller(scan.steps - start, TILE);
  Tokens tokens;
  tokens.set(scan, batch, scan.route, start, steps);
  float* out = scan.partial + ((chunk * scan.batch + batch) * scan.steps + start) * (scan.rank + 2 * scan.state);
  for (int i = 0; i < count; ++i) load_back(scan, tokens, steps, &parts[i]);
  int n = 0;
  for (; n + 4 <= scan.state; n += 4) back_states<4>(scan, batch, tile, steps, n, tokens, parts, count, scratch, out);
  for (; n < scan.state; ++n) back_states<1>(scan, batch, tile, steps, n, tokens, parts, count, scratch, out);
  for (int i = 0; i < count; ++i) finish_tile(scan, tokens, steps, &parts[i]);
  int r = 0;
  for (; r + 4 <= scan.rank; r += 4) back_rank<4>(scan, steps, r, tokens, parts, count, scratch, out);
  for (; r + 2 <= scan.rank; r += 2) back_rank<2>(scan, steps, r, tokens, parts, count, scratch, out);
  for (; r < scan.rank; ++r) back_rank<1>(scan, steps, r, tokens, parts, count, scratch, out);
}

static void backward_chunk(const RouteScan& scan, int64_t batch, int64_t chunk, BackBlock* parts, int count,
                           GradScratch* scratch) {
  const vec zero = vec{};
  for (int i = 0; i < count; ++i) {
    BackBlock& part = parts[i];
    for (int n = 0; n < scan.state; ++n) part.G[n] = part.dA[n] = part.dA_error[n] = zero;
    for (int r = 0; r < scan.rank; ++r) part.ddt_weight[r] = part.ddt_weight_error[r] = zero;
    part.dD = part.dD_error = part.dbias = part.dbias_error = zero;
  }
  for (int64_t tile = block_count(scan.steps, TILE) - 1; tile >= 0; --tile) {
    back_tile(scan, batch, chunk, tile, parts, count, scratch);
  }
  for (int i = 0; i < count; ++i) {
    const BackBlock& part = parts[i];
    const int lanes = part.block.count;
    const int64_t row = (batch * scan.routes + scan.route) * scan.dim + part.block.channel;
    for (int n = 0; n < scan.state; ++n) scatter_column(scan.dA + row * scan.state, scan.state, n, lanes, part.dA[n]);
    for (int r = 0; r < scan.rank; ++r) {
      scatter_column(scan.ddt_weight + row * scan.rank, scan.rank, r, lanes, part.ddt_weight[r]);
    }
    store_first(scan.dD + row, part.dD, lanes);
    store_first(scan.ddt_bias + row, part.dbias, lanes);
  }
}

static void backward(const RouteScan& scan, int64_t begin, int64_t end) {
  const int64_t blocks = block_count(scan.dim, LANES);
  const int64_t most = block_count(blocks, static_cast<int>(scan.chunks));
  BackBlock* parts = make_room<BackBlock>(most);
  GradScratch* scratch = make_room<GradScratch>(1);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t chunk = task % scan.chunks;
    const int64_t first = blocks * chunk / scan.chunks, last = blocks * (chunk + 1) / scan.chunks;
    for (int64_t i = first; i < last; ++i) parts[i - first].block.set(scan, scan.route, i * LANES);
    backward_chunk(scan, task / scan.chunks, chunk, parts, static_cast<int>(last - first), scratch);
  }
  std::free(scratch);
  std::free(parts);
}

}  // namespace

void route_forward(const RouteScan& scan, int64_t begin, int64_t end) { forward(scan, begin, end); }
void route_backward(const RouteScan& scan, int64_t begin, int64_t end) { backward(scan, begin, end); }

}  // namespace MAMBA_ISA
