// What the operators hand to the kernels: plain pointers and sizes, the same for every instruction set.
//
// All data is fp32. A work range [begin, end) counts tasks; a task owns everything it writes, so that the split of the
// range over threads never changes a bit of the result. Parameter gradients come per batch item, those of B, C and the
// packed parameters per chunk of channels; the caller sums them in a fixed order.
#pragma once

#include <cstdint>

constexpr int TILE = 128;  // steps between two saved states; CHECKPOINT in mamba_kernels/checks.py

struct SelectiveScan {
  int64_t batch, dim, length, state, groups;
  int64_t chunks;         // chunks of channels per group, backward only
  bool delta_softplus;
  const float *u, *delta;                        // (batch, dim, length), the last axis dense
  int64_t u_batch, u_dim, delta_batch, delta_dim;  // strides
  const float* A;                                // (dim, state)
  const float *B, *C;                            // (batch, groups, length, state)
  int64_t B_step, C_step, B_group, C_group;      // strides; a step of 0 serves B and C constant over the length
  const float *D, *delta_bias;                   // (dim) or null
  float* y;                                      // (batch, dim, length)
  float* last_state;                             // (batch, dim, state)
  float* states;                                 // (batch, tiles, state, dim); null forward where nothing is saved
  const float *dy, *dlast;                       // (batch, dim, length); (batch, dim, state) or null
  float *du, *ddelta;                            // (batch, dim, length)
  float* dA;                                     // (batch, dim, state)
  float *dB, *dC;                                // (chunks, batch, groups, length, state)
  float *dD, *ddelta_bias;                       // (batch, dim)
};

struct RouteScan {
  int64_t batch, tokens, dim, routes, steps, state, rank;
  // Backward only: chunks of channels; the route of this pass and its tiles; the steps that fit in partial.
  int64_t chunks, route, first_tile, last_tile, window;
  const float* x;       // (batch, tokens, dim)
  const float* params;  // (batch, tokens, routes, rank + 2 state) = [dt | B | C]
  const float* dt_weight;          // (routes, dim, rank)
  const float *dt_bias, *D;        // (routes, dim)
  const float* A;                  // (routes, dim, state)
  const int32_t* table;            // (routes, steps)
  float* y;                        // (batch, tokens, dim), zero at the start unless every route covers all tokens
  float* states;                   // (batch, routes, tiles, state, dim) or null
  const float* dy;                 // (batch, tokens, dim)
  float* dx;                       // as y
  float* dparams;                  // (batch, tokens, routes, rank + 2 state), zero at the start as y
  float* partial;                  // (chunks, batch, window, rank + 2 state), scratch of one window of one route
  float* running;                  // (batch, blocks, running_rows, lanes), what goes from window to window
  float* ddt_weight;               // (batch, routes, dim, rank)
  float *ddt_bias, *dD;            // (batch, routes, dim)
  float* dA;                       // (batch, routes, dim, state)
};

// The kernels of one instruction set.
struct Kernels {
  const char* name;
  int lanes;
  void (*selective_forward)(const SelectiveScan&, int64_t begin, int64_t end);   // tasks: batch x groups x blocks
  void (*selective_backward)(const SelectiveScan&, int64_t begin, int64_t end);  // tasks: batch x groups x chunks
  void (*route_forward)(const RouteScan&, int64_t begin, int64_t end);           // tasks: batch x blocks
  void (*route_backward)(const RouteScan&, int64_t begin, int64_t end);          // tasks: batch x chunks
};

inline int64_t running_rows(const RouteScan& scan) { return 3 * scan.state + 2 * scan.rank + 4; }

inline int64_t block_count(int64_t channels, int lanes) { return (channels + lanes - 1) / lanes; }
