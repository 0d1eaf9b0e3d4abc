// The routed scan on channel-last tokens, forward and backward; compiled once per instruction set.
//
// Tokens are read through the routes: nothing is copied per route. The step size is formed from its low-rank factors
// inside the kernel. Forward, a task is one block of LANES channels of one batch item and walks all routes in turn, so
// that it alone owns its columns of y. Backward, the routes are passes of the caller; a task is a chunk of blocks, which
// owns its columns of dx and a partial sum of the parameters' gradients in step order, which library.cpp adds up.
#include "scan_tile.h"

namespace MAMBA_ISA {
namespace {

constexpr int MOST_RANK = 64, MOST_STATES = 64;

// The tokens of a tile: their index and their packed parameters of this route.
struct Tokens {
  int64_t token[TILE];
  const float* dt[TILE];
  Rows rows;

  void set(const RouteScan& scan, int64_t batch, int64_t route, int64_t start, int steps) {
    const int64_t width = scan.rank + 2 * scan.state;
    const int32_t* table = scan.table + route * scan.steps + start;
    for (int t = 0; t < steps; ++t) {
      token[t] = batch * scan.tokens + table[t];
      dt[t] = scan.params + (token[t] * scan.routes + route) * width;
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

// delta = softplus(dt_weight . dt + dt_bias) and, with SLOPE, its derivative by the argument, eight steps at a time; the
// last steps of a short tile repeat its last token.
template <bool SLOPE>
static void step_sizes(const Block& block, const Tokens& tokens, int steps, int rank, vec* delta, vec* slope) {
  constexpr int GROUP = 8;
  for (int t = 0; t < steps; t += GROUP) {
    const float* rows[GROUP];
    vec sum[GROUP];
#pragma GCC unroll 8
    for (int i = 0; i < GROUP; ++i) {
      rows[i] = tokens.dt[t + i < steps ? t + i : steps - 1];
      sum[i] = vec{};
    }
    for (int r = 0; r < rank; ++r) {
      const vec weight = block.dt_weight[r];
#pragma GCC unroll 8
      for (int i = 0; i < GROUP; ++i) sum[i] += weight * rows[i][r];
    }
#pragma GCC unroll 8
    for (int i = 0; i < GROUP; ++i) {
      const vec raw = sum[i] + block.bias;  // last, so that a large bias rounds the sum once only
      delta[t + i] = SLOPE ? softplus(raw, &slope[t + i]) : softplus(raw);
    }
  }
}

static float* saved_state(const RouteScan& scan, int64_t batch, int64_t route, int64_t tile, int64_t channel) {
  const int64_t tiles = block_count(scan.steps, TILE);
  return scan.states + ((batch * scan.routes + route) * tiles + tile) * scan.state * scan.dim + channel;
}

static void forward_route(const RouteScan& scan, int64_t batch, int64_t route, const Block& block) {
  const int states = static_cast<int>(scan.state);
  const bool first_visit = route == 0 && scan.steps == scan.tokens;
  vec state[MOST_STATES] = {};
  vec delta[TILE], delta_x[TILE], y[TILE];
  Tokens tokens;
  for (int64_t start = 0; start < scan.steps; start += TILE) {
    const int steps = smaller(scan.steps - start, TILE);
    tokens.set(scan, batch, route, start, steps);
    step_sizes<false>(block, tokens, steps, static_cast<int>(scan.rank), delta, nullptr);
    for (int t = 0; t < steps; ++t) {
      const vec x = load_first(scan.x + tokens.token[t] * scan.dim + block.channel, block.count);
      delta_x[t] = delta[t] * x;
    }
    if (scan.states) {
      float* saved = saved_state(scan, batch, route, start / TILE, block.channel);
      for (int n = 0; n < states; ++n) store_first(saved + n * scan.dim, state[n], block.count);
    }
    scan_tile(steps, delta, delta_x, tokens.rows, states, block.A2, state, y);
    for (int t = 0; t < steps; ++t) {
      const int64_t at = tokens.token[t] * scan.dim + block.channel;
      vec total = y[t] + block.D * load_first(scan.x + at, block.count);
      if (!first_visit) total += load_first(scan.y + at, block.count);
      store_first(scan.y + at, total, block.count);
    }
  }
}

static void forward(const RouteScan& scan, int64_t begin, int64_t end) {
  const int64_t blocks = block_count(scan.dim, LANES);
  Block block;
  for (int64_t task = begin; task < end; ++task) {
    for (int64_t route = 0; route < scan.routes; ++route) {
      block.set(scan, route, task % blocks * LANES);
      forward_route(scan, task / blocks, route, block);
    }
  }
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
