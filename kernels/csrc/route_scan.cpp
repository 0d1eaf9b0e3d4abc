// The routed scan on channel-last tokens, forward; compiled once per instruction set.
//
// A task is one block of LANES channels of one batch item and walks all routes in turn, so that it alone owns its columns
// of y. Neighbouring tasks of a thread go together as a span, tile by tile: rows and packed parameters are fetched once.
#include "route_tile.h"

namespace MAMBA_ISA {
namespace {

constexpr int SPAN = 12;  // most blocks of a span

MAMBA_INLINE void fetch_row(const RouteScan& scan, int64_t at) {
  fetch(scan.x + at);
  fetch(scan.y + at);
}

// What a route does to its row of y. Where every route visits all tokens the skips are one product, by the sum of D.
enum class Merge { FIRST, NEXT, ALONE };  // writes y with the skip; adds; adds with its own skip

template <Merge MERGE>
MAMBA_INLINE vec merged(const Block& block, vec x, const float* y, int lanes) {
  if constexpr (MERGE == Merge::FIRST) return block.D * x;
  const vec sum = load_first(y, lanes);
  return MERGE == Merge::NEXT ? sum : sum + block.D * x;
}

// G steps of a block with one state, without leaving the registers. The state is carried in *state.
template <int G, bool FULL, Merge MERGE>
MAMBA_INLINE void one_state(const RouteScan& scan, const Block& block, const Tokens& tokens, int t, vec* state) {
  const int lanes = FULL ? LANES : block.count, rank = static_cast<int>(scan.rank);
  const float* const* rows = tokens.dt + t;
  const Pack<G> delta = softplus(raw_steps<G>(block, rows, rank));
  Pack<G> decay = delta;
  MAMBA_EACH(G) decay.at[i] *= block.A2[0];
  decay = exp2_of(decay);
  // All loads before all stores: rows of a column may lie a multiple of 4 KiB apart, which looks alike to the processor.
  Pack<G> input, sum;
  MAMBA_EACH(G) {
    const int64_t at = tokens.at(t + i) * scan.dim + block.channel;
    const vec x = load_first(scan.x + at, lanes);
    input.at[i] = delta.at[i] * x * rows[i][rank];
    sum.at[i] = merged<MERGE>(block, x, scan.y + at, lanes);
  }
  vec h = *state;
  MAMBA_EACH(G) {
    h = decay.at[i] * h + input.at[i];
    store_first(scan.y + tokens.at(t + i) * scan.dim + block.channel, h * rows[i][rank + 1] + sum.at[i], lanes);
  }
  *state = h;
}

// Neighbouring blocks take a group of steps in turn: they share its tokens and lie side by side in memory.
struct Span {
  Block block;
  vec state[MOST_STATES];
};

// Rows are fetched line by line, G lines before each block: the processor goes on with what lies side by side in memory.
template <int G, Merge MERGE>
MAMBA_INLINE void one_state_steps(const RouteScan& scan, const Tokens& tokens, int t, Span* spans, int count) {
  MAMBA_EACH(G) fetch(tokens.dt[t + i + AHEAD]);
  int row = t + AHEAD, line = 0;
  for (int k = 0; k < count; ++k) {
    const Block& block = spans[k].block;
    MAMBA_EACH(G) {
      fetch_row(scan, tokens.at(row) * scan.dim + spans[line].block.channel);
      if (++line == count) line = 0, ++row;
    }
    if (block.count == LANES) {
      one_state<G, true, MERGE>(scan, block, tokens, t, spans[k].state);
    } else {
      one_state<G, false, MERGE>(scan, block, tokens, t, spans[k].state);
    }
  }
}

template <Merge MERGE>
static void one_state_tile(const RouteScan& scan, const Tokens& tokens, int steps, Span* spans, int count) {
  int t = 0;
  for (; t + GROUP <= steps; t += GROUP) one_state_steps<GROUP, MERGE>(scan, tokens, t, spans, count);
  for (; t < steps; ++t) one_state_steps<1, MERGE>(scan, tokens, t, spans, count);
}

template <Merge MERGE>
static void many_states(const RouteScan& scan, const Block& block, const Tokens& tokens, int steps, vec* state) {
  vec delta[TILE], delta_x[TILE], y[TILE];
  step_sizes<false>(block, tokens, steps, static_cast<int>(scan.rank), delta, nullptr);
  for (int t = 0; t < steps; ++t) {
    fetch_row(scan, tokens.at(t + AHEAD) * scan.dim + block.channel);
    const vec x = load_first(scan.x + tokens.at(t) * scan.dim + block.channel, block.count);
    delta_x[t] = delta[t] * x;
  }
  scan_tile(steps, delta, delta_x, tokens.rows, static_cast<int>(scan.state), block.A2, state, y);
  for (int t = 0; t < steps; ++t) {
    const int64_t at = tokens.at(t) * scan.dim + block.channel;
    const vec x = MERGE == Merge::NEXT ? vec{} : load_first(scan.x + at, block.count);
    store_first(scan.y + at, y[t] + merged<MERGE>(block, x, scan.y + at, block.count), block.count);
  }
}

template <Merge MERGE>
static void forward_route(const RouteScan& scan, int64_t batch, int64_t route, Span* spans, int count) {
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
      if (scan.state > 1) many_states<MERGE>(scan, block, tokens, steps, state);
    }
    if (scan.state == 1) one_state_tile<MERGE>(scan, tokens, steps, spans, count);
  }
}

static void forward(const RouteScan& scan, int64_t begin, int64_t end) {
  const int64_t blocks = block_count(scan.dim, LANES);
  const bool gaps = scan.steps < scan.tokens;
  Span* spans = make_room<Span>(SPAN);
  while (begin < end) {
    const int64_t first = begin % blocks;
    const int count = smaller(smaller(end - begin, blocks - first), SPAN);
    for (int64_t route = 0; route < scan.routes; ++route) {
      for (int i = 0; i < count; ++i) {
        Block& block = spans[i].block;
        block.set(scan, route, (first + i) * LANES);
        for (int n = 0; n < scan.state; ++n) spans[i].state[n] = vec{};
        if (!gaps) block.D = sum_of_skips(scan, block);
      }
      const auto run = gaps ? forward_route<Merge::ALONE>
                       : route ? forward_route<Merge::NEXT>
                               : forward_route<Merge::FIRST>;
      run(scan, begin / blocks, route, spans, count);
    }
    begin += count;
  }
  std::free(spans);
}

}  // namespace

void route_forward(const RouteScan& scan, int64_t begin, int64_t end) { forward(scan, begin, end); }

}  // namespace MAMBA_ISA
