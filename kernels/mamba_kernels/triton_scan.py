"""The two Triton kernels behind selective_scan and route_scan: a scan and its reverse sweep.

One program owns BLOCK channels of one route of one batch element and walks the route step by step.
The state is a (STATE, BLOCK) register tile with the channel last, so that a lane keeps whole
channels: up to 16 states neither the recurrence nor the sum over the state crosses lanes.
Everything is computed in float32, whatever the tensors hold.

Forward, step t at token p = table[route, t] (p = t without a table), n running over the state::

    r_t = bias + delta_p            raw step sizes are given (RANK = 0)
    r_t = bias + weight^T dt_p      or come from the first `rank` columns of params
    delta_t = softplus(r_t)         max(r, 0) + log1p(exp(-|r|)), identity above 20
    h_t[n] = exp(delta_t A[n]) h_{t-1}[n] + delta_t x_p B_p[n]
    y_p = sum_n C_p[n] h_t[n] + D x_p

Backward, t falling, G_t = dL/dh_t, g = exp(delta_{t+1} A) G_{t+1}, at first dL/d(last state)::

    G[n] = g[n] + dy C[n]          s = sum_n G[n] B[n]        e[n] = G[n] exp(delta A[n]) h_{t-1}[n]
    dx = delta s + D dy            dB[n] = sum_d delta x G[n]         dC[n] = sum_d dy h_t[n]
    dr = (x s + sum_n A[n] e[n]) softplus'(r)             dA[n] = sum delta e[n]       dD = sum dy x
    dbias = sum dr                 ddt = weight dr        dweight = sum dr dt^T

The forward kernel leaves the state at the start of every tile of TILE steps; the sweep recomputes
one tile at a time from it. Nothing is added atomically: what several programs contribute to (dB,
dC, ddt over channel blocks, y and dx over routes, parameter gradients over tiles) goes to separate
rows that the caller sums in a fixed order.

Layouts, all contiguous: x, dy (batch, length, dim), or (batch, length, routes, dim) when each route
has its own channels; params (batch, length, routes, rank + 2 state) = [dt | B | C]; delta, y, dx,
ddelta (batch, length, routes, dim); weight (routes, rank, dim); bias, D (routes, dim); A (routes,
state, dim); states (batch, routes, tiles, state, dim); last, dlast (batch, routes, state, dim).

Runs from Triton 3.6 on. Not yet run on a GPU: checked against the reference in Triton's interpreter
and compiled for sm_80 and sm_90.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def exp_of_minus(a):
    """exp(-a), a >= 0, to the last bits, which the rounded argument of exp2 loses for large a."""
    a = tl.minimum(a, 87.0)
    n = tl.floor(a * LOG2E + 0.5)
    rest = (a - n * 0.693359375) + n * 2.12194440e-4  # a - n log(2), the first product exact
    power = ((127 - n.to(tl.int32)) << 23).to(tl.float32, bitcast=True)  # 2^-n
    return tl.exp2(-rest * LOG2E) * power


@triton.jit
def softplus(r):
    """softplus(r), identity above 20, and its slope."""
    z = exp_of_minus(tl.abs(r))
    # log1p(z) / z on [0, 1] to 5e-9: small results keep their accuracy, in log(1 + z) they do not.
    p = z * -0.003243980696424842 + 0.019851261749863625
    p = p * z - 0.056959159672260284
    p = p * z + 0.10603617131710052
    p = p * z - 0.15305569767951965
    p = p * z + 0.19675931334495544
    p = p * z - 0.24954132735729218
    p = p * z + 0.3332996368408203
    p = p * z - 0.4999990165233612
    p = p * z + 1.0
    step = tl.where(r > 20.0, r, tl.maximum(r, 0.0) + z * p)
    return step, tl.where(r > 20.0, 1.0, tl.where(r < 0.0, z, 1.0) / (1.0 + z))


@triton.jit
def load_float(pointer, mask):
    return tl.load(pointer, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def token_of(table, step, steps, TABLE: tl.constexpr):
    """Token of a step, the step kept inside the route so that reading ahead needs no mask."""
    inside = tl.maximum(tl.minimum(step, steps - 1), 0)
    if TABLE:
        inside = tl.load(table + inside)
    return inside


@triton.jit
def read_channels(
    x, params, delta, token, x_row, width_row, dim_row, ranks, valid, rank_mask, RANK: tl.constexpr
):
    """x (BLOCK) of one token and what its step sizes are made of: `rank` numbers or BLOCK."""
    if RANK == 0:
        source = load_float(delta + token * dim_row, valid)
    else:
        source = load_float(params + token * width_row + ranks, rank_mask)
    return load_float(x + token * x_row, valid), source


@triton.jit
def step_size(source, weight, bias, RANK: tl.constexpr, SOFTPLUS: tl.constexpr):
    """The step sizes (BLOCK) and the slope of the map that made them from their raw values."""
    raw = bias + source if RANK == 0 else bias + tl.sum(weight * source[:, None], axis=0)
    step = raw
    slope = tl.full(raw.shape, 1.0, tl.float32)
    if SOFTPLUS:
        step, slope = softplus(raw)
    return step, slope


@triton.jit
def program_place(dim, routes, BLOCK: tl.constexpr):
    """The (batch, route) pair of this program, its route and its channel block, in 64 bits."""
    blocks = tl.cdiv(dim, BLOCK)
    pair = (tl.program_id(0) // blocks).to(tl.int64)
    return pair, pair % routes, (tl.program_id(0) % blocks).to(tl.int64)


@triton.jit
def scan_forward(
    x, params, delta, weight, bias, A, D, table, y, states, last,
    length, steps, dim, routes, rank, state, x_row, x_route,
    RANK: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr, TILE: tl.constexpr,
    TABLE: tl.constexpr, SOFTPLUS: tl.constexpr, SAVE: tl.constexpr,
):  # fmt: skip
    pair, route, place = program_place(dim, routes, BLOCK)
    cols = place.to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    ns, ranks = tl.arange(0, STATE), tl.arange(0, RANK if RANK > 0 else 1)
    valid, n_mask, rank_mask = cols < dim, ns < state, ranks < rank
    tile_at = ns[:, None] * dim + cols[None, :]
    tile_mask = n_mask[:, None] & valid[None, :]
    b_at, c_at = rank + ns, rank + state + ns
    width_row, dim_row = routes * (rank + 2 * state), routes * dim
    decay = load_float(A + route * state * dim + tile_at, tile_mask) * LOG2E
    skip = load_float(D + route * dim + cols, valid)
    bias_d = load_float(bias + route * dim + cols, valid)
    weight_at = (route * rank + ranks[:, None]) * dim + cols[None, :]
    weight_d = load_float(weight + weight_at, rank_mask[:, None] & valid[None, :])
    x += route * x_route + cols
    params += route * (rank + 2 * state)
    delta += route * dim + cols
    y += route * dim + cols
    table += route * steps
    states += pair * tl.cdiv(steps, TILE) * state * dim + tile_at
    start = pair // routes * length
    h = tl.zeros((STATE, BLOCK), dtype=tl.float32)

    # A step's operands are read one step early and its token two: neither load is waited for.
    token = start + token_of(table, 0, steps, TABLE)
    ahead = start + token_of(table, 1, steps, TABLE)
    x_t, source = read_channels(
        x, params, delta, token, x_row, width_row, dim_row, ranks, valid, rank_mask, RANK
    )
    B_t = load_float(params + token * width_row + b_at, n_mask)
    C_t = load_float(params + token * width_row + c_at, n_mask)
    t = 0
    while t < steps:
        next_x, next_source = read_channels(
            x, params, delta, ahead, x_row, width_row, dim_row, ranks, valid, rank_mask, RANK
        )
        next_B = load_float(params + ahead * width_row + b_at, n_mask)
        next_C = load_float(params + ahead * width_row + c_at, n_mask)
        if SAVE:
            if t % TILE == 0:
                tl.store(states, h, mask=tile_mask)
                states += state * dim
        step, slope = step_size(source, weight_d, bias_d, RANK, SOFTPLUS)
        h = tl.exp2(step[None, :] * decay) * h + (step * x_t)[None, :] * B_t[:, None]
        y_t = tl.sum(h * C_t[:, None], axis=0) + skip * x_t
        tl.store(y + token * dim_row, y_t, mask=valid)
        token = ahead
        ahead = start + token_of(table, t + 2, steps, TABLE)
        x_t, source, B_t, C_t = next_x, next_source, next_B, next_C
        t += 1
    tl.store(last + pair * state * dim + tile_at, h, mask=tile_mask)


@triton.jit
def replay_tile(
    h, x, params, delta, weight_d, bias_d, decay, table, history, start, first, count, steps,
    x_row, width_row, dim_row, ranks, b_at, valid, rank_mask, n_mask, at, SIZE: tl.constexpr,
    RANK: tl.constexpr, TABLE: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Write to history the state before each step of the tile that begins at `first` in state h."""
    token = start + token_of(table, first, steps, TABLE)
    ahead = start + token_of(table, first + 1, steps, TABLE)
    x_t, source = read_channels(
        x, params, delta, token, x_row, width_row, dim_row, ranks, valid, rank_mask, RANK
    )
    B_t = load_float(params + token * width_row + b_at, n_mask)
    i = 0
    while i < count:
        next_x, next_source = read_channels(
            x, params, delta, ahead, x_row, width_row, dim_row, ranks, valid, rank_mask, RANK
        )
        next_B = load_float(params + ahead * width_row + b_at, n_mask)
        tl.store(history + i * SIZE + at, h)
        step, slope = step_size(source, weight_d, bias_d, RANK, SOFTPLUS)
        h = tl.exp2(step[None, :] * decay) * h + (step * x_t)[None, :] * B_t[:, None]
        ahead = start + token_of(table, first + i + 2, steps, TABLE)
        x_t, source, B_t = next_x, next_source, next_B
        i += 1


@triton.jit
def sweep_tile(
    g, dy, x, params, delta, weight_d, bias_d, decay, skip, table, history, dx, ddelta, dparams,
    start, first, count, steps, x_row, width_row, dim_row, ranks, b_at, c_at,
    valid, rank_mask, n_mask, at,
    SIZE: tl.constexpr, RANK: tl.constexpr, TABLE: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Run one tile backwards from g; returns g before it and the tile's parameter gradients."""
    dA, dD = tl.zeros_like(decay), tl.zeros_like(skip)
    dbias, dweight = tl.zeros_like(skip), tl.zeros_like(weight_d)
    i = count - 1
    token = start + token_of(table, first + i, steps, TABLE)
    ahead = start + token_of(table, first + i - 1, steps, TABLE)
    dy_t = load_float(dy + token * x_row, valid)
    x_t, source = read_channels(
        x, params, delta, token, x_row, width_row, dim_row, ranks, valid, rank_mask, RANK
    )
    h = tl.load(history + i * SIZE + at)
    while i >= 0:
        # B and C were read by the replay a moment ago; reading them early would cost registers.
        B_t = load_float(params + token * width_row + b_at, n_mask)
        C_t = load_float(params + token * width_row + c_at, n_mask)
        next_dy = load_float(dy + ahead * x_row, valid)
        next_x, next_source = read_channels(
            x, params, delta, ahead, x_row, width_row, dim_row, ranks, valid, rank_mask, RANK
        )
        next_h = tl.load(history + tl.maximum(i - 1, 0) * SIZE + at)
        step, slope = step_size(source, weight_d, bias_d, RANK, SOFTPLUS)
        a = tl.exp2(step[None, :] * decay)
        G = g + dy_t[None, :] * C_t[:, None]
        ah = a * h
        s = tl.sum(G * B_t[:, None], axis=0)
        e = G * ah
        draw = (x_t * s + tl.sum(decay * e, axis=0) * LN2) * slope
        tl.store(dx + token * dim_row, step * s + skip * dy_t, mask=valid)
        into = dparams + token * width_row
        driven = (step * x_t)[None, :]
        h = ah + driven * B_t[:, None]
        tl.store(into + b_at, tl.sum(G * driven, axis=1), mask=n_mask)
        tl.store(into + c_at, tl.sum(dy_t[None, :] * h, axis=1), mask=n_mask)
        if RANK == 0:
            tl.store(ddelta + token * dim_row, draw, mask=valid)
        else:
            tl.store(into + ranks, tl.sum(weight_d * draw[None, :], axis=1), mask=rank_mask)
            dweight += draw[None, :] * source[:, None]
        dA += step[None, :] * e
        dD += dy_t * x_t
        dbias += draw
        g = a * G
        token = ahead
        ahead = start + token_of(table, first + i - 2, steps, TABLE)
        dy_t, x_t, source, h = next_dy, next_x, next_source, next_h
        i -= 1
    return g, dA, dD, dbias, dweight


@triton.jit
def scan_backward(
    dy, dlast, x, params, delta, weight, bias, A, D, table, states, history,
    dx, ddelta, dparams, dweight, dbias, dA, dD,
    length, steps, dim, routes, rank, state, x_row, x_route, params_size,
    RANK: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr, TILE: tl.constexpr,
    TABLE: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    pair, route, place = program_place(dim, routes, BLOCK)
    cols = place.to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    ns, ranks = tl.arange(0, STATE), tl.arange(0, RANK if RANK > 0 else 1)
    valid, n_mask, rank_mask = cols < dim, ns < state, ranks < rank
    n_at, r_at = ns[:, None] * dim + cols[None, :], ranks[:, None] * dim + cols[None, :]
    tile_mask, weight_mask = n_mask[:, None] & valid[None, :], rank_mask[:, None] & valid[None, :]
    b_at, c_at = rank + ns, rank + state + ns
    width_row, dim_row = routes * (rank + 2 * state), routes * dim
    decay = load_float(A + route * state * dim + n_at, tile_mask) * LOG2E
    skip = load_float(D + route * dim + cols, valid)
    bias_d = load_float(bias + route * dim + cols, valid)
    weight_d = load_float(weight + route * rank * dim + r_at, weight_mask)
    x += route * x_route + cols
    dy += route * x_route + cols
    params += route * (rank + 2 * state)
    dparams += route * (rank + 2 * state) + place * params_size
    delta += route * dim + cols
    dx += route * dim + cols
    ddelta += route * dim + cols
    table += route * steps
    start = pair // routes * length
    history += tl.program_id(0).to(tl.int64) * TILE * STATE * BLOCK
    at = ns[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    tiles = tl.cdiv(steps, TILE)
    g = load_float(dlast + pair * state * dim + n_at, tile_mask)

    tile = tiles - 1
    while tile >= 0:
        first = tile * TILE
        count = tl.minimum(steps - first, TILE)
        row = pair * tiles + tile  # of the states and of the partial sums
        h = load_float(states + row * state * dim + n_at, tile_mask)
        replay_tile(
            h, x, params, delta, weight_d, bias_d, decay, table, history, start, first, count,
            steps, x_row, width_row, dim_row, ranks, b_at, valid, rank_mask, n_mask, at,
            STATE * BLOCK, RANK, TABLE, SOFTPLUS,
        )  # fmt: skip
        tl.debug_barrier()  # the sweep reads what other lanes may have written
        g, dA_t, dD_t, dbias_t, dweight_t = sweep_tile(
            g, dy, x, params, delta, weight_d, bias_d, decay, skip, table, history,
            dx, ddelta, dparams, start, first, count, steps, x_row, width_row, dim_row,
            ranks, b_at, c_at, valid, rank_mask, n_mask, at, STATE * BLOCK, RANK, TABLE, SOFTPLUS,
        )  # fmt: skip
        tl.store(dA + row * state * dim + n_at, dA_t, mask=tile_mask)
        tl.store(dD + row * dim + cols, dD_t, mask=valid)
        tl.store(dbias + row * dim + cols, dbias_t, mask=valid)
        if RANK > 0:
            tl.store(dweight + row * rank * dim + r_at, dweight_t, mask=weight_mask)
        tl.debug_barrier()  # the next tile overwrites the history
        tile -= 1
