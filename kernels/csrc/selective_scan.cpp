// The selective scan on channel-first tensors, forward and backward; compiled once per instruction set.
//
// A task forward is one block of LANES channels of one group; a tile of its rows is transposed in registers, so that
// channels become lanes. A task backward is a chunk of blocks of one group: dB and dC are sums over channels, kept as
// whole vectors over the blocks of the chunk and reduced over the lanes once per tile.
#include "scan_tile.h"

namespace MAMBA_ISA {
namespace {

const float ZEROS[TILE] = {};

// tile[t] = the values at step t of `count` channels whose rows start at `from`.
static void load_tile(const float* from, int64_t row_stride, int count, int steps, vec* tile) {
  const float* rows[LANES];
  for (int lane = 0; lane < LANES; ++lane) rows[lane] = lane < count ? from + lane * row_stride : ZEROS;
  int t = 0;
  for (; t + LANES <= steps; t += LANES) {
    vec block[LANES];
#pragma GCC unroll 16
    for (int lane = 0; lane < LANES; ++lane) block[lane] = load(rows[lane] + t);
    transpose(block);
#pragma GCC unroll 16
    for (int lane = 0; lane < LANES; ++lane) tile[t + lane] = block[lane];
  }
  for (; t < steps; ++t) {
    float values[LANES];
    for (int lane = 0; lane < LANES; ++lane) values[lane] = rows[lane][t];
    tile[t] = load(values);
  }
}

static void store_tile(float* to, int64_t row_stride, int count, int steps, const vec* tile) {
  int t = 0;
  for (; t + LANES <= steps; t += LANES) {
    vec block[LANES];
#pragma GCC unroll 16
    for (int lane = 0; lane < LANES; ++lane) block[lane] = tile[t + lane];
    transpose(block);
    for (int lane = 0; lane < count; ++lane) store(to + lane * row_stride + t, block[lane]);
  }
  for (; t < steps; ++t) {
    for (int lane = 0; lane < count; ++lane) to[lane * row_stride + t] = tile[t][lane];
  }
}

// One block of channels: first channel, how many lanes are real, and their constants.
struct Block {
  int64_t channel;
  int count;
  vec D, bias;

  void set(const SelectiveScan& scan, int64_t first, int64_t end) {
    channel = first;
    count = smaller(end - first, LANES);
    D = scan.D ? load_first(scan.D + first, count) : vec{};
    bias = scan.delta_bias ? load_first(scan.delta_bias + first, count) : vec{};
  }
};

static void set_rows(const SelectiveScan& scan, int64_t batch, int64_t group, int64_t start, int steps, Rows* rows) {
  const float* B = scan.B + (batch * scan.groups + group) * scan.B_group + start * scan.B_step;
  const float* C = scan.C + (batch * scan.groups + group) * scan.C_group + start * scan.C_step;
  for (int t = 0; t < steps; ++t) {
    rows->B[t] = B + t * scan.B_step;
    rows->C[t] = C + t * scan.C_step;
  }
}

static void load_A2(const SelectiveScan& scan, const Block& block, vec* A2) {
  for (int64_t n = 0; n < scan.state; ++n) {
    A2[n] = gather_column(scan.A + block.channel * scan.state, scan.state, n, block.count) * LOG2_E;
  }
}

// Step sizes of G steps from their raw values, with SLOPE also the derivative, and what drives the states.
template <int G, bool SLOPE>
MAMBA_INLINE void activate(const SelectiveScan& scan, const Block& block, int t, const vec* x, vec* delta, vec* delta_x,
                           vec* slope) {
  Pack<G> step;
  MAMBA_EACH(G) step.at[i] = delta[t + i] + block.bias;
  if constexpr (SLOPE) {
    MAMBA_EACH(G) slope[t + i] = splat(1.0f);
    if (scan.delta_softplus) step = softplus(step, slope + t);
  } else {
    if (scan.delta_softplus) step = softplus(step);
  }
  MAMBA_EACH(G) delta[t + i] = step.at[i], delta_x[t + i] = step.at[i] * x[t + i];
}

template <bool SLOPE>
static void activate_tile(const SelectiveScan& scan, const Block& block, int steps, const vec* x, vec* delta,
                          vec* delta_x, vec* slope) {
  int t = 0;
  for (; t + GROUP <= steps; t += GROUP) activate<GROUP, SLOPE>(scan, block, t, x, delta, delta_x, slope);
  for (; t < steps; ++t) activate<1, SLOPE>(scan, block, t, x, delta, delta_x, slope);
}

static void forward_block(const SelectiveScan& scan, int64_t batch, int64_t group, const Block& block) {
  const int states = static_cast<int>(scan.state);
  const int64_t tiles = block_count(scan.length, TILE);
  vec A2[64], state[64] = {};
  load_A2(scan, block, A2);
  vec x[TILE], delta[TILE], delta_x[TILE], y[TILE];
  Rows rows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t start = tile * TILE;
    const int steps = smaller(scan.length - start, TILE);
    load_tile(scan.u + batch * scan.u_batch + block.channel * scan.u_dim + start, scan.u_dim, block.count, steps, x);
    load_tile(scan.delta + batch * scan.delta_batch + block.channel * scan.delta_dim + start, scan.delta_dim,
              block.count, steps, delta);
    activate_tile<false>(scan, block, steps, x, delta, delta_x, nullptr);
    if (scan.states) {
      float* saved = scan.states + (batch * tiles + tile) * scan.state * scan.dim + block.channel;
      for (int n = 0; n < states; ++n) store_first(saved + n * scan.dim, state[n], block.count);
    }
    set_rows(scan, batch, group, start, steps, &rows);
    scan_tile(steps, delta, delta_x, rows, states, A2, state, y);
    for (int t = 0; t < steps; ++t) y[t] += block.D * x[t];
    store_tile(scan.y + (batch * scan.dim + block.channel) * scan.length + start, scan.length, block.count, steps, y);
  }
  float* last = scan.last_state + (batch * scan.dim + block.channel) * scan.state;
  for (int n = 0; n < states; ++n) scatter_column(last, scan.state, n, block.count, state[n]);
}

static void forward(const SelectiveScan& scan, int64_t begin, int64_t end) {
  const int64_t channels = scan.dim / scan.groups;
  const int64_t blocks = block_count(channels, LANES);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t group = task / blocks % scan.groups;
    Block block;
    block.set(scan, group * channels + task % blocks * LANES, (group + 1) * channels);
    forward_block(scan, task / blocks / scan.groups, group, block);
  }
}

// The blocks of one backward task with their running gradients; `*_error` are the carried roundings.
struct BackBlock {
  Block block;
  vec A2[64], G[64], dA[64], dA_error[64];
  vec dD, dD_error, dbias, dbias_error;
  GradTile tile;
};

static void start_block(const SelectiveScan& scan, int64_t batch, BackBlock* part) {
  const Block& block = part->block;
  load_A2(scan, block, part->A2);
  const float* dlast = scan.dlast ? scan.dlast + (batch * scan.dim + block.channel) * scan.state : nullptr;
  for (int64_t n = 0; n < scan.state; ++n) {
    part->G[n] = dlast ? gather_column(dlast, scan.state, n, block.count) : vec{};
    part->dA[n] = part->dA_error[n] = vec{};
  }
  part->dD = part->dD_error = part->dbias = part->dbias_error = vec{};
}

static void load_back(const SelectiveScan& scan, int64_t batch, int64_t start, int steps, BackBlock* part) {
  const Block& block = part->block;
  GradTile& tile = part->tile;
  load_tile(scan.u + batch * scan.u_batch + block.channel * scan.u_dim + start, scan.u_dim, block.count, steps, tile.x);
  load_tile(scan.delta + batch * scan.delta_batch + block.channel * scan.delta_dim + start, scan.delta_dim, block.count,
            steps, tile.delta);
  load_tile(scan.dy + (batch * scan.dim + block.channel) * scan.length + start, scan.length, block.count, steps, tile.dy);
  activate_tile<true>(scan, block, steps, tile.x, tile.delta, tile.delta_x, tile.slope);
  for (int t = 0; t < steps; ++t) tile.s[t] = tile.q[t] = vec{};
}

static void finish_tile(const SelectiveScan& scan, int64_t batch, int64_t start, int steps, BackBlock* part) {
  const Block& block = part->block;
  GradTile& tile = part->tile;
  vec sum_D = vec{}, sum_bias = vec{};
  for (int t = 0; t < steps; ++t) {
    tile.ddelta[t] = (tile.x[t] * tile.s[t] + LN_2 * tile.q[t]) * tile.slope[t];
    sum_bias += tile.ddelta[t];
    sum_D += tile.dy[t] * tile.x[t];
    tile.s[t] = tile.delta[t] * tile.s[t] + block.D * tile.dy[t];
  }
  add_carefully(&part->dD, &part->dD_error, sum_D);
  add_carefully(&part->dbias, &part->dbias_error, sum_bias);
  const int64_t at = (batch * scan.dim + block.channel) * scan.length + start;
  store_tile(scan.du + at, scan.length, block.count, steps, tile.s);
  store_tile(scan.ddelta + at, scan.length, block.count, steps, tile.ddelta);
}

template <int NB>
static void back_states(const SelectiveScan& scan, int64_t batch, int64_t group, int64_t chunk, int64_t start, int steps,
                        int first, const Rows& rows, BackBlock* parts, int count, GradScratch* scratch) {
  const int64_t tiles = block_count(scan.length, TILE);
  for (int i = 0; i < count; ++i) {
    BackBlock& part = parts[i];
    vec saved[NB], dA[NB];
    const float* from = scan.states + (batch * tiles + start / TILE) * scan.state * scan.dim + part.block.channel;
    for (int n = 0; n < NB; ++n) saved[n] = load_first(from + (first + n) * scan.dim, part.block.count);
    if (i == 0) {
      scan_back<NB, true>(steps, &part.tile, rows, first, part.A2 + first, saved, scratch, part.G + first, dA);
    } else {
      scan_back<NB, false>(steps, &part.tile, rows, first, part.A2 + first, saved, scratch, part.G + first, dA);
    }
    for (int n = 0; n < NB; ++n) add_carefully(&part.dA[first + n], &part.dA_error[first + n], dA[n]);
  }
  const int64_t row = ((chunk * scan.batch + batch) * scan.groups + group) * scan.length + start;
  reduce_rows<NB>(scratch->dB, steps, scan.dB + row * scan.state + first, scan.state);
  reduce_rows<NB>(scratch->dC, steps, scan.dC + row * scan.state + first, scan.state);
}

static void backward_chunk(const SelectiveScan& scan, int64_t batch, int64_t group, int64_t chunk, BackBlock* parts,
                           int count, GradScratch* scratch) {
  const int states = static_cast<int>(scan.state);
  Rows rows;
  for (int i = 0; i < count; ++i) start_block(scan, batch, &parts[i]);
  for (int64_t tile = block_count(scan.length, TILE) - 1; tile >= 0; --tile) {
    const int64_t start = tile * TILE;
    const int steps = smaller(scan.length - start, TILE);
    set_rows(scan, batch, group, start, steps, &rows);
    for (int i = 0; i < count; ++i) load_back(scan, batch, start, steps, &parts[i]);
    int n = 0;
    for (; n + 4 <= states; n += 4) back_states<4>(scan, batch, group, chunk, start, steps, n, rows, parts, count, scratch);
    for (; n < states; ++n) back_states<1>(scan, batch, group, chunk, start, steps, n, rows, parts, count, scratch);
    for (int i = 0; i < count; ++i) finish_tile(scan, batch, start, steps, &parts[i]);
  }
  for (int i = 0; i < count; ++i) {
    const Block& block = parts[i].block;
    const int64_t at = batch * scan.dim + block.channel;
    for (int n = 0; n < states; ++n) {
      scatter_column(scan.dA + at * scan.state, scan.state, n, block.count, parts[i].dA[n]);
    }
    if (scan.dD) store_first(scan.dD + at, parts[i].dD, block.count);
    if (scan.ddelta_bias) store_first(scan.ddelta_bias + at, parts[i].dbias, block.count);
  }
}

static void backward(const SelectiveScan& scan, int64_t begin, int64_t end) {
  const int64_t channels = scan.dim / scan.groups;
  const int64_t blocks = block_count(channels, LANES);
  const int64_t most = block_count(blocks, static_cast<int>(scan.chunks));
  BackBlock* parts = make_room<BackBlock>(most);
  GradScratch* scratch = make_room<GradScratch>(1);
  for (int64_t task = begin; task < end; ++task) {
    const int64_t chunk = task % scan.chunks, group = task / scan.chunks % scan.groups;
    const int64_t first = blocks * chunk / scan.chunks, last = blocks * (chunk + 1) / scan.chunks;
    for (int64_t i = first; i < last; ++i) {
      parts[i - first].block.set(scan, group * channels + i * LANES, (group + 1) * channels);
    }
    backward_chunk(scan, task / scan.chunks / scan.groups, group, chunk, parts, static_cast<int>(last - first), scratch);
  }
  std::free(scratch);
  std::free(parts);
}

}  // namespace

void selective_forward(const SelectiveScan& scan, int64_t begin, int64_t end) { forward(scan, begin, end); }
void selective_backward(const SelectiveScan& scan, int64_t begin, int64_t end) { backward(scan, begin, end); }

}  // namespace MAMBA_ISA
