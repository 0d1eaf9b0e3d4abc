// The routed scan on channel-last tokens, backward; compiled once per instruction set.
//
// The caller goes through the routes, and through each from its end in windows of tiles. A task is a chunk of blocks of
// one batch item: it owns its columns of dx and a partial sum of the packed parameters' gradients in step order, which
// library.cpp adds up after each window. What a task carries from window to window lies in scan.running.
#include "route_tile.h"

namespace MAMBA_ISA {
namespace {

// The running gradients of a block, in scan.running; the second of a pair is the carried rounding.
struct Running {
  vec *G, *dA, *dA_error, *ddt_weight, *ddt_weight_error;
  vec *dD, *dbias;  // each with its rounding behind it

  void set(const RouteScan& scan, int64_t batch, int64_t block) {
    const int64_t rows = running_rows(scan), blocks = block_count(scan.dim, LANES);
    G = reinterpret_cast<vec*>(scan.running) + (batch * blocks + block) * rows;
    dA = G + scan.state, dA_error = dA + scan.state;
    ddt_weight = dA_error + scan.state, ddt_weight_error = ddt_weight + scan.rank;
    dD = ddt_weight_error + scan.rank, dbias = dD + 2;
  }
};

struct BackBlock {
  Block block;
  Running running;
  vec ddelta[TILE];  // of one state; with more they are the tile's
};

// Where every route visits all tokens, the skips of dx are one product of the first route, and dD is the same for all.
MAMBA_INLINE bool has_gaps(const RouteScan& scan) { return scan.steps < scan.tokens; }

// ---- one state: nothing but the step sizes, decays and carried states of a tile leaves the registers

struct OneState {
  vec delta[TILE + GROUP], slope[TILE + GROUP], decay[TILE + GROUP], carried[TILE + GROUP];
  vec dB[TILE], dC[TILE];
};

MAMBA_INLINE void fetch_gradients(const RouteScan& scan, const Block& block, const Tokens& tokens, int t) {
  const int64_t at = tokens.at(t) * scan.dim + block.channel;
  fetch(scan.dy + at);
  fetch(scan.dx + at);
}

// A tile is gone through from its first step to its last and back. Its rows are fetched AHEAD steps before their use, no
// earlier: those of a column may all fall into the same few places of a cache. The last steps of either way fetch the
// first rows of the next one: the sweep's, then the next block's (after the last block, for nothing).
template <int G, bool FRESH>
MAMBA_INLINE void fetch_replay(const RouteScan& scan, const Block& block, const Tokens& tokens, int ahead, int steps) {
  if (ahead < steps) {
    MAMBA_EACH(G) fetch(scan.x + tokens.at(ahead + i) * scan.dim + block.channel);
    if constexpr (FRESH) MAMBA_EACH(G) fetch(tokens.dt[ahead + i]);
  } else {
    MAMBA_EACH(G) fetch_gradients(scan, block, tokens, 2 * steps - 1 - ahead - i);
  }
}

template <int G>
MAMBA_INLINE vec replay_steps(const RouteScan& scan, const Block& block, const Tokens& tokens, int t, vec h,
                              OneState* tile) {
  const int rank = static_cast<int>(scan.rank);
  const Pack<G> delta = softplus(raw_steps<G>(block, tokens.dt + t, rank), tile->slope + t);
  Pack<G> decay = delta;
  MAMBA_EACH(G) decay.at[i] *= block.A2[0];
  decay = exp2_of(decay);
  MAMBA_EACH(G) {
    const vec x = load_first(scan.x + tokens.at(t + i) * scan.dim + block.channel, block.count);
    const vec carried = decay.at[i] * h;
    h = carried + delta.at[i] * x * tokens.dt[t + i][rank];
    tile->delta[t + i] = delta.at[i], tile->decay[t + i] = decay.at[i], tile->carried[t + i] = carried;
  }
  return h;
}

// The running sums of a sweep, in registers.
struct Sweep {
  vec carry, dA, dbias, dD;
};

// FRESH: the first block of the chunk writes dB and dC. SKIP: the skip of dx and dD are done here. ADD: dx has a value.
template <bool FRESH, bool SKIP, bool ADD>
MAMBA_INLINE void sweep_step(const RouteScan& scan, const Tokens& tokens, int t, BackBlock* part, OneState* tile,
                             Sweep* sweep) {
  const Block& block = part->block;
  const int64_t at = tokens.at(t) * scan.dim + block.channel;
  const vec x = load_first(scan.x + at, block.count), dy = load_first(scan.dy + at, block.count);
  vec dx = ADD ? load_first(scan.dx + at, block.count) : vec{};
  if constexpr (SKIP) dx += block.D * dy, sweep->dD += dy * x;
  const float B = tokens.rows.B[t][0], C = tokens.rows.C[t][0];
  const vec delta = tile->delta[t], carried = tile->carried[t], input = delta * x;
  const vec grad = dy * C + sweep->carry;
  const vec s = grad * B, through = grad * carried;
  const vec dC = dy * (carried + input * B), dB = input * grad;
  tile->dC[t] = FRESH ? dC : tile->dC[t] + dC;
  tile->dB[t] = FRESH ? dB : tile->dB[t] + dB;
  sweep->carry = grad * tile->decay[t];
  sweep->dA += through * delta;
  const vec ddelta = (x * s + block.A2[0] * LN_2 * through) * tile->slope[t];
  part->ddelta[t] = ddelta;
  sweep->dbias += ddelta;
  store_first(scan.dx + at, dx + delta * s, block.count);
}

template <bool FRESH, bool SKIP, bool ADD>
static void sweep_tile(const RouteScan& scan, const Tokens& tokens, int steps, BackBlock* part, OneState* tile) {
  const Running& running = part->running;
  Sweep sweep = {running.G[0], vec{}, vec{}, vec{}};
  int t = steps - 1;
  for (; t >= AHEAD; --t) {
    fetch_gradients(scan, part->block, tokens, t - AHEAD);
    sweep_step<FRESH, SKIP, ADD>(scan, tokens, t, part, tile, &sweep);
  }
  for (; t >= 0; --t) {
    fetch(scan.x + tokens.at(AHEAD - 1 - t) * scan.dim + part->block.channel + LANES);
    sweep_step<FRESH, SKIP, ADD>(scan, tokens, t, part, tile, &sweep);
  }
  running.G[0] = sweep.carry;
  add_carefully(running.dA, running.dA_error, sweep.dA);
  add_carefully(running.dbias, running.dbias + 1, sweep.dbias);
  if constexpr (SKIP) add_carefully(running.dD, running.dD + 1, sweep.dD);
}

template <bool FRESH, bool SKIP, bool ADD>
static void back_block(const RouteScan& scan, const Tokens& tokens, vec h, int steps, BackBlock* part, OneState* tile) {
  int t = 0;
  for (; t + GROUP <= steps; t += GROUP) {
    fetch_replay<GROUP, FRESH>(scan, part->block, tokens, t + AHEAD, steps);
    h = replay_steps<GROUP>(scan, part->block, tokens, t, h, tile);
  }
  for (; t < steps; ++t) {
    fetch_replay<1, FRESH>(scan, part->block, tokens, t + AHEAD, steps);
    h = replay_steps<1>(scan, part->block, tokens, t, h, tile);
  }
  sweep_tile<FRESH, SKIP, ADD>(scan, tokens, steps, part, tile);
}

template <bool SKIP, bool ADD>
static void back_one_state(const RouteScan& scan, const Tokens& tokens, int64_t batch, int64_t tile, int steps,
                           BackBlock* parts, int count, OneState* room, float* out) {
  for (int t = 0; t < AHEAD; ++t) {
    fetch(scan.x + tokens.at(t) * scan.dim + parts[0].block.channel);
    fetch(tokens.dt[t]);
  }
  for (int i = 0; i < count; ++i) {
    const Block& block = parts[i].block;
    const vec h = load_first(saved_state(scan, batch, scan.route, tile, block.channel), block.count);
    if (i == 0) {
      back_block<true, SKIP, ADD>(scan, tokens, h, steps, &parts[i], room);
    } else {
      back_block<false, SKIP, ADD>(scan, tokens, h, steps, &parts[i], room);
    }
  }
  const int64_t width = scan.rank + 2;
  reduce_rows<1>(room->dB, steps, out + scan.rank, width);
  reduce_rows<1>(room->dC, steps, out + scan.rank + 1, width);
}

// ---- more states: NB of them at a time through the whole tile

static void load_back(const RouteScan& scan, const Tokens& tokens, int steps, const BackBlock& part, GradTile* tile) {
  const Block& block = part.block;
  step_sizes<true>(block, tokens, steps, static_cast<int>(scan.rank), tile->delta, tile->slope);
  for (int t = 0; t < steps; ++t) {
    const int64_t ahead = tokens.at(smaller(t + AHEAD, steps - 1)) * scan.dim + block.channel;
    fetch(scan.x + ahead);
    fetch(scan.dy + ahead);
    const int64_t at = tokens.at(t) * scan.dim + block.channel;
    tile->x[t] = load_first(scan.x + at, block.count);
    tile->dy[t] = load_first(scan.dy + at, block.count);
    tile->delta_x[t] = tile->delta[t] * tile->x[t];
    tile->s[t] = tile->q[t] = vec{};
  }
}

template <bool SKIP, bool ADD>
static void finish_tile(const RouteScan& scan, const Tokens& tokens, int steps, BackBlock* part, const GradTile& tile) {
  const Block& block = part->block;
  const Running& running = part->running;
  vec dbias = vec{}, dD = vec{};
  for (int t = 0; t < steps; ++t) {
    fetch(scan.dx + tokens.at(t + AHEAD) * scan.dim + block.channel);
    float* to = scan.dx + tokens.at(t) * scan.dim + block.channel;
    vec dx = ADD ? load_first(to, block.count) : vec{};
    if constexpr (SKIP) dx += block.D * tile.dy[t], dD += tile.dy[t] * tile.x[t];
    const vec ddelta = (tile.x[t] * tile.s[t] + LN_2 * tile.q[t]) * tile.slope[t];
    part->ddelta[t] = ddelta;
    dbias += ddelta;
    store_first(to, dx + tile.delta[t] * tile.s[t], block.count);
  }
  add_carefully(running.dbias, running.dbias + 1, dbias);
  if constexpr (SKIP) add_carefully(running.dD, running.dD + 1, dD);
}

template <int NB>
static void back_states(const RouteScan& scan, int64_t batch, int64_t tile, int steps, int first, const Tokens& tokens,
                        BackBlock* parts, GradTile* tiles, int count, GradScratch* scratch, float* out) {
  for (int i = 0; i < count; ++i) {
    const Block& block = parts[i].block;
    const Running& running = parts[i].running;
    vec saved[NB], dA[NB];
    const float* from = saved_state(scan, batch, scan.route, tile, block.channel);
    for (int n = 0; n < NB; ++n) saved[n] = load_first(from + (first + n) * scan.dim, block.count);
    const vec* A2 = block.A2 + first;
    if (i == 0) {
      scan_back<NB, true>(steps, &tiles[i], tokens.rows, first, A2, saved, scratch, running.G + first, dA);
    } else {
      scan_back<NB, false>(steps, &tiles[i], tokens.rows, first, A2, saved, scratch, running.G + first, dA);
    }
    for (int n = 0; n < NB; ++n) add_carefully(running.dA + first + n, running.dA_error + first + n, dA[n]);
  }
  const int64_t width = scan.rank + 2 * scan.state;
  reduce_rows<NB>(scratch->dB, steps, out + scan.rank + first, width);
  reduce_rows<NB>(scratch->dC, steps, out + scan.rank + scan.state + first, width);
}

template <bool SKIP, bool ADD>
static void back_many_states(const RouteScan& scan, const Tokens& tokens, int64_t batch, int64_t tile, int steps,
                             BackBlock* parts, GradTile* tiles, int count, GradScratch* scratch, float* out) {
  for (int i = 0; i < count; ++i) load_back(scan, tokens, steps, parts[i], &tiles[i]);
  int n = 0;
  for (; n + 4 <= scan.state; n += 4) {
    back_states<4>(scan, batch, tile, steps, n, tokens, parts, tiles, count, scratch, out);
  }
  for (; n < scan.state; ++n) {
    back_states<1>(scan, batch, tile, steps, n, tokens, parts, tiles, count, scratch, out);
  }
  for (int i = 0; i < count; ++i) finish_tile<SKIP, ADD>(scan, tokens, steps, &parts[i], tiles[i]);
}

// ---- the low-rank step sizes, NB columns: ddt_t = sum_d ddelta dt_weight, ddt_weight = sum_t ddelta dt_t

constexpr int RANK_STEPS = LANES == 16 ? 4 : 2;  // steps whose sums the registers hold

template <int NB>
static void back_rank(const RouteScan& scan, int steps, int first, const Tokens& tokens, BackBlock* parts, int count,
                      float* out) {
  const int64_t width = scan.rank + 2 * scan.state;
  for (int start = 0; start < steps; start += GROUP) {
    vec sums[GROUP * NB];
    for (int half = 0; half < GROUP; half += RANK_STEPS) {
      vec sum[RANK_STEPS * NB] = {};
      for (int k = 0; k < count; ++k) {
        const vec *ddelta = parts[k].ddelta + start + half, *weight = parts[k].block.dt_weight + first;
#pragma GCC unroll 4
        for (int i = 0; i < RANK_STEPS; ++i) {
#pragma GCC unroll 6
          for (int r = 0; r < NB; ++r) sum[i * NB + r] += ddelta[i] * weight[r];
        }
      }
#pragma GCC unroll 24
      for (int i = 0; i < RANK_STEPS * NB; ++i) sums[half * NB + i] = sum[i];
    }
    reduce_rows<NB>(sums, smaller(steps - start, GROUP), out + start * width + first, width);
  }
  for (int k = 0; k < count; ++k) {
    vec sum[NB] = {};
    for (int t = 0; t < steps; ++t) {
      const vec ddelta = parts[k].ddelta[t];
#pragma GCC unroll 6
      for (int r = 0; r < NB; ++r) sum[r] += ddelta * tokens.dt[t][first + r];
    }
    const Running& running = parts[k].running;
    for (int r = 0; r < NB; ++r) {
      add_carefully(running.ddt_weight + first + r, running.ddt_weight_error + first + r, sum[r]);
    }
  }
}

// ---- tiles, windows, tasks

// The room of a thread: blocks of a chunk, and what either way of going through a tile needs.
struct Room {
  BackBlock* parts;
  OneState* one;
  GradTile* tiles;
  GradScratch* scratch;

  Room(const RouteScan& scan, int64_t most) {
    const bool single = scan.state == 1;
    parts = make_room<BackBlock>(most);
    one = single ? make_room<OneState>(1) : nullptr;
    tiles = single ? nullptr : make_room<GradTile>(most);
    scratch = single ? nullptr : make_room<GradScratch>(1);
  }
  ~Room() {
    std::free(parts);
    std::free(one);
    std::free(tiles);
    std::free(scratch);
  }
};

template <bool SKIP, bool ADD>
static void back_window(const RouteScan& scan, int64_t batch, int64_t chunk, const Room& room, int count) {
  Tokens tokens;
  const int64_t width = scan.rank + 2 * scan.state;
  for (int64_t tile = scan.last_tile - 1; tile >= scan.first_tile; --tile) {
    const int steps = smaller(scan.steps - tile * TILE, TILE);
    const int64_t row = (chunk * scan.batch + batch) * scan.window + (tile - scan.first_tile) * TILE;
    float* out = scan.partial + row * width;
    tokens.set(scan, batch, scan.route, tile * TILE, steps);
    if (room.one) {
      back_one_state<SKIP, ADD>(scan, tokens, batch, tile, steps, room.parts, count, room.one, out);
    } else {
      back_many_states<SKIP, ADD>(scan, tokens, batch, tile, steps, room.parts, room.tiles, count, room.scratch, out);
    }
    int r = 0;
    for (; r + 6 <= scan.rank; r += 6) back_rank<6>(scan, steps, r, tokens, room.parts, count, out);
    for (; r + 2 <= scan.rank; r += 2) back_rank<2>(scan, steps, r, tokens, room.parts, count, out);
    for (; r < scan.rank; ++r) back_rank<1>(scan, steps, r, tokens, room.parts, count, out);
  }
}

static void start_part(const RouteScan& scan, int64_t batch, int64_t index, BackBlock* part) {
  Block& block = part->block;
  block.set(scan, scan.route, index * LANES);
  if (!has_gaps(scan)) block.D = sum_of_skips(scan, block);
  part->running.set(scan, batch, index);
  for (vec& value : part->ddelta) value = vec{};
  if (scan.last_tile * TILE < scan.steps) return;
  for (int64_t row = 0; row < running_rows(scan); ++row) part->running.G[row] = vec{};
}

static void write_part(const RouteScan& scan, int64_t batch, const BackBlock& part) {
  const int lanes = part.block.count;
  const Running& running = part.running;
  const int64_t row = (batch * scan.routes + scan.route) * scan.dim + part.block.channel;
  for (int n = 0; n < scan.state; ++n) {
    scatter_column(scan.dA + row * scan.state, scan.state, n, lanes, running.dA[n]);
  }
  for (int r = 0; r < scan.rank; ++r) {
    scatter_column(scan.ddt_weight + row * scan.rank, scan.rank, r, lanes, running.ddt_weight[r]);
  }
  store_first(scan.ddt_bias + row, running.dbias[0], lanes);
  if (has_gaps(scan)) {
    store_first(scan.dD + row, running.dD[0], lanes);
  } else if (scan.route == 0) {
    for (int64_t route = 0; route < scan.routes; ++route) {
      store_first(scan.dD + row + route * scan.dim, running.dD[0], lanes);
    }
  }
}

static void backward(const RouteScan& scan, int64_t begin, int64_t end) {
  const int64_t blocks = block_count(scan.dim, LANES);
  const Room room(scan, block_count(blocks, static_cast<int>(scan.chunks)));
  const auto run = has_gaps(scan) ? back_window<true, true>
                   : scan.route   ? back_window<false, true>
                                  : back_window<true, false>;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t chunk = task % scan.chunks, batch = task / scan.chunks;
    const int64_t first = blocks * chunk / scan.chunks, last = blocks * (chunk + 1) / scan.chunks;
    for (int64_t i = first; i < last; ++i) start_part(scan, batch, i, &room.parts[i - first]);
    run(scan, batch, chunk, room, static_cast<int>(last - first));
    if (scan.first_tile > 0) continue;
    for (int64_t i = first; i < last; ++i) write_part(scan, batch, room.parts[i - first]);
  }
}

}  // namespace

void route_backward(const RouteScan& scan, int64_t begin, int64_t end) { backward(scan, begin, end); }

}  // namespace MAMBA_ISA
