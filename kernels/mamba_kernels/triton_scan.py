"""The two Triton kernels behind selective_scan and route_scan: a scan and its reverse sweep.

One program owns BLOCK channels of one route of one batch element and walks the route step by step.
The state is a (STATE, BLOCK) register tile with the channel last, so that a lane keeps whole
channels: up to 16 states neither the recurrence nor the sum over the state crosses lanes, and the
forward loop holds no barrier. For that no pointer's alignment may be known to the compiler: wide
loads would be handed around among the lanes (18 shuffles, 5 barriers and half as many instructions
again in a step of 16 states on sm_90).
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

Several programs share a route where there would be too few: each takes a chunk of `span` steps, a
multiple of TILE, from what the other chunks hand to it in carried or dlast (triton_chunks).

The forward kernel leaves the state at the start of every tile of TILE steps; the sweep recomputes
one tile at a time from it. Nothing is added atomically: what several programs contribute to (dB,
dC, ddt over channel blocks, y and dx over routes, parameter gradients over tiles) goes to separate
rows that the caller sums in a fixed order.

Layouts, all contiguous: x, dy (batch, length, dim), or (batch, length, routes, dim) when each route
has its own channels; params (batch, length, routes, rank + 2 state) = [dt | B | C]; delta, y, dx,
ddelta (batch, length, routes, dim); weight (routes, rank, dim); bias, D (routes, dim); A (routes,
state, dim); states (batch, routes, tiles, state, dim); last (batch, routes, state, dim); carried
(batch, routes, chunks - 1, state, dim), the state behind each chunk; dlast (batch, routes, chunks,
state, dim), the gradient that arrives there.

Runs from Triton 3.6 on. Not yet run on a GPU: checked against the reference in Triton's interpreter
and compiled for sm_80 and sm_90.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)
POINTERS = (
    'dy', 'dlast', 'carried', 'x', 'params', 'delta', 'weight', 'bias', 'A', 'D', 'table',
    'y', 'states', 'last', 'ends', 'totals', 'history',
    'dx', 'ddelta', 'dparams', 'dweight', 'dbias', 'dA', 'dD',
)  # fmt: skip


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
def columns(first, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    """Offsets (COUNT, BLOCK) of `COUNT` columns of params, the same for every channel.

    So every lane reads all the numbers that it needs. Told the truth, that neighbours in memory are
    neighbours in the first axis, the compiler would spread that axis over the lanes; it is told
    of the second one, which chooses the lanes and, the alignment being unknown, nothing else.
    """
    lanes = (tl.arange(0, BLOCK) // BLOCK)[None, :]
    return tl.max_contiguous(first + tl.arange(0, COUNT)[:, None] + lanes, [1, BLOCK])


@triton.jit
def read_source(
    params, delta, token, width_row, dim_row, dt_at, dt_mask, valid, RANK: tl.constexpr
):
    """What the step sizes of one token are made of: (RANK, BLOCK), or (BLOCK) themselves."""
    if RANK == 0:
        source = load_float(delta + token * dim_row, valid)
    else:
        source = load_float(params + token * width_row + dt_at, dt_mask)
    return source


@triton.jit
def read_channels(
    x, params, delta, token, x_row, width_row, dim_row, dt_at, dt_mask, valid, RANK: tl.constexpr
):
    """x (BLOCK) of one token and what its step sizes are made of."""
    source = read_source(params, delta, token, width_row, dim_row, dt_at, dt_mask, valid, RANK)
    return load_float(x + token * x_row, valid), source


@triton.jit
def step_size(source, weight, bias, RANK: tl.constexpr, SOFTPLUS: tl.constexpr):
    """The step sizes (BLOCK) and the slope of the map that made them from their raw values."""
    raw = bias + source if RANK == 0 else bias + tl.sum(weight * source, axis=0)
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
def tile_places(place, dim, COUNT: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr):
    """Offsets (PADDED, BLOCK) into (COUNT, dim), which of them exist, and which columns do."""
    cols = place.to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    rows = tl.arange(0, PADDED)
    exists = tl.broadcast_to((rows < COUNT)[:, None], (PADDED, BLOCK))
    return rows[:, None] * dim + cols[None, :], exists & (cols < dim)[None, :], exists


@triton.jit(do_not_specialize_on_alignment=POINTERS)
def scan_forward(
    x, params, delta, weight, bias, A, D, table, carried, y, states, last,
    length, steps, span, dim, routes, x_row, x_route,
    rank: tl.constexpr, state: tl.constexpr, RANK: tl.constexpr, STATE: tl.constexpr,
    BLOCK: tl.constexpr, TILE: tl.constexpr, TABLE: tl.constexpr, SOFTPLUS: tl.constexpr,
    SAVE: tl.constexpr,
):  # fmt: skip
    pair, route, place = program_place(dim, routes, BLOCK)
    cols = place.to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    valid = cols < dim
    h_at, h_mask, n_mask = tile_places(place, dim, state, STATE, BLOCK)
    w_at, w_mask, r_mask = tile_places(place, dim, rank, RANK if RANK > 0 else 1, BLOCK)
    dt_at = columns(0, RANK if RANK > 0 else 1, BLOCK)
    b_at, c_at = columns(rank, STATE, BLOCK), columns(rank + state, STATE, BLOCK)
    width_row, dim_row = routes * (rank + 2 * state), routes * dim
    decay = load_float(A + route * state * dim + h_at, h_mask) * LOG2E
    skip = load_float(D + route * dim + cols, valid)
    bias_d = load_float(bias + route * dim + cols, valid)
    weight_d = load_float(weight + route * rank * dim + w_at, w_mask)
    x += route * x_route + cols
    params += route * (rank + 2 * state)
    delta += route * dim + cols
    y += route * dim + cols
    table += route * steps
    start = pair // routes * length
    chunk = tl.program_id(1)
    t, end = chunk * span, tl.minimum((chunk + 1) * span, steps)
    states += (pair * tl.cdiv(steps, TILE) + t // TILE) * state * dim + h_at
    # what the chunks before left: carried holds the state after every chunk but the last
    carried += (pair * (tl.num_programs(1) - 1) + chunk - 1) * state * dim + h_at
    h = load_float(carried, tl.where(chunk > 0, h_mask, False))

    # A step's operands are read one step early and its token two: neither load is waited for.
    token = start + token_of(table, t, steps, TABLE)
    ahead = start + token_of(table, t + 1, steps, TABLE)
    x_t, source = read_channels(
        x, params, delta, token, x_row, width_row, dim_row, dt_at, r_mask, valid, RANK
    )
    B_t = load_float(params + token * width_row + b_at, n_mask)
    C_t = load_float(params + token * width_row + c_at, n_mask)
    while t < end:
        if SAVE:
            tl.store(states, h, mask=h_mask)
            states += state * dim
        tile_end = tl.minimum(t + TILE, end)
        while t < tile_end:
            next_x, next_source = read_channels(
                x, params, delta, ahead, x_row, width_row, dim_row, dt_at, r_mask, valid, RANK
            )
            next_B = load_float(params + ahead * width_row + b_at, n_mask)
            next_C = load_float(params + ahead * width_row + c_at, n_mask)
            step, slope = step_size(source, weight_d, bias_d, RANK, SOFTPLUS)
            h = tl.exp2(step[None, :] * decay) * h + (step * x_t)[None, :] * B_t
            tl.store(y + token * dim_row, tl.sum(h * C_t, axis=0) + skip * x_t, mask=valid)
            token = ahead
            ahead = start + token_of(table, t + 2, steps, TABLE)
            x_t, source, B_t, C_t = next_x, next_source, next_B, next_C
            t += 1
    tl.store(last + pair * state * dim + h_at, h, mask=tl.where(end == steps, h_mask, False))


@triton.jit
def replay_tile(
    h, x, params, delta, weight_d, bias_d, decay, table, history, start, first, count, steps,
    x_row, width_row, dim_row, dt_at, b_at, valid, r_mask, n_mask, at, SIZE: tl.constexpr,
    RANK: tl.constexpr, TABLE: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Write to history the state before each step of the tile that begins at `first` in state h."""
    token = start + token_of(table, first, steps, TABLE)
    ahead = start + token_of(table, first + 1, steps, TABLE)
    x_t, source = read_channels(
        x, params, delta, token, x_row, width_row, dim_row, dt_at, r_mask, valid, RANK
    )
    B_t = load_float(params + token * width_row + b_at, n_mask)
    i = 0
    while i < count:
        next_x, next_source = read_channels(
            x, params, delta, ahead, x_row, width_row, dim_row, dt_at, r_mask, valid, RANK
        )
        next_B = load_float(params + ahead * width_row + b_at, n_mask)
        tl.store(history + i * SIZE + at, h)
        step, slope = step_size(source, weight_d, bias_d, RANK, SOFTPLUS)
        h = tl.exp2(step[None, :] * decay) * h + (step * x_t)[None, :] * B_t
        ahead = start + token_of(table, first + i + 2, steps, TABLE)
        x_t, source, B_t = next_x, next_source, next_B
        i += 1


@triton.jit
def sweep_tile(
    g, dy, x, params, delta, weight_d, bias_d, decay, skip, table, history, dx, ddelta, dparams,
    start, first, count, steps, x_row, width_row, dim_row, dt_at, b_at, c_at,
    valid, r_mask, n_mask, at, rank: tl.constexpr, state: tl.constexpr,
    STATE: tl.constexpr, SIZE: tl.constexpr, RANK: tl.constexpr, TABLE: tl.constexpr,
    SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Run one tile backwards from g; returns g before it and the tile's parameter gradients."""
    dA, dD = tl.zeros_like(decay), tl.zeros_like(skip)
    dbias, dweight = tl.zeros_like(skip), tl.zeros_like(weight_d)
    ns, ranks = tl.arange(0, STATE), tl.arange(0, RANK if RANK > 0 else 1)
    i = count - 1
    token = start + token_of(table, first + i, steps, TABLE)
    ahead = start + token_of(table, first + i - 1, steps, TABLE)
    dy_t = load_float(dy + token * x_row, valid)
    x_t, source = read_channels(
        x, params, delta, token, x_row, width_row, dim_row, dt_at, r_mask, valid, RANK
    )
    h = tl.load(history + i * SIZE + at)
    while i >= 0:
        # B and C were read by the replay a moment ago; reading them early would cost registers.
        B_t = load_float(params + token * width_row + b_at, n_mask)
        C_t = load_float(params + token * width_row + c_at, n_mask)
        next_dy = load_float(dy + ahead * x_row, valid)
        next_x, next_source = read_channels(
            x, params, delta, ahead, x_row, width_row, dim_row, dt_at, r_mask, valid, RANK
        )
        next_h = tl.load(history + tl.maximum(i - 1, 0) * SIZE + at)
        step, slope = step_size(source, weight_d, bias_d, RANK, SOFTPLUS)
        a = tl.exp2(step[None, :] * decay)
        G = g + dy_t[None, :] * C_t
        ah = a * h
        s = tl.sum(G * B_t, axis=0)
        e = G * ah
        draw = (x_t * s + tl.sum(decay * e, axis=0) * LN2) * slope
        tl.store(dx + token * dim_row, step * s + skip * dy_t, mask=valid)
        into = dparams + token * width_row
        driven = (step * x_t)[None, :]
        h = ah + driven * B_t
        tl.store(into + rank + ns, tl.sum(G * driven, axis=1), mask=ns < state)
        tl.store(into + rank + state + ns, tl.sum(dy_t[None, :] * h, axis=1), mask=ns < state)
        if RANK == 0:
            tl.store(ddelta + token * dim_row, draw, mask=valid)
        else:
            tl.store(into + ranks, tl.sum(weight_d * draw[None, :], axis=1), mask=ranks < rank)
            dweight += draw[None, :] * source
        dA += step[None, :] * e
        dD += dy_t * x_t
        dbias += draw
        g = a * G
        token = ahead
        ahead = start + token_of(table, first + i - 2, steps, TABLE)
        dy_t, x_t, source, h = next_dy, next_x, next_source, next_h
        i -= 1
    return g, dA, dD, dbias, dweight


@triton.jit(do_not_specialize_on_alignment=POINTERS)
def scan_backward(
    dy, dlast, x, params, delta, weight, bias, A, D, table, states, history,
    dx, ddelta, dparams, dweight, dbias, dA, dD,
    length, steps, span, dim, routes, x_row, x_route, params_size,
    rank: tl.constexpr, state: tl.constexpr, RANK: tl.constexpr, STATE: tl.constexpr,
    BLOCK: tl.constexpr, TILE: tl.constexpr, TABLE: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    pair, route, place = program_place(dim, routes, BLOCK)
    cols = place.to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    valid = cols < dim
    n_at, h_mask, n_mask = tile_places(place, dim, state, STATE, BLOCK)
    r_at, w_mask, r_mask = tile_places(place, dim, rank, RANK if RANK > 0 else 1, BLOCK)
    dt_at = columns(0, RANK if RANK > 0 else 1, BLOCK)
    b_at, c_at = columns(rank, STATE, BLOCK), columns(rank + state, STATE, BLOCK)
    width_row, dim_row = routes * (rank + 2 * state), routes * dim
    decay = load_float(A + route * state * dim + n_at, h_mask) * LOG2E
    skip = load_float(D + route * dim + cols, valid)
    bias_d = load_float(bias + route * dim + cols, valid)
    weight_d = load_float(weight + route * rank * dim + r_at, w_mask)
    x += route * x_route + cols
    dy += route * x_route + cols
    params += route * (rank + 2 * state)
    dparams += route * (rank + 2 * state) + place * params_size
    delta += route * dim + cols
    dx += route * dim + cols
    ddelta += route * dim + cols
    table += route * steps
    start = pair // routes * length
    chunk, chunks = tl.program_id(1), tl.num_programs(1)
    history += (tl.program_id(0).to(tl.int64) * chunks + chunk) * TILE * STATE * BLOCK
    at = tl.arange(0, STATE)[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    tiles = tl.cdiv(steps, TILE)
    g = load_float(dlast + (pair * chunks + chunk) * state * dim + n_at, h_mask)

    tile = tl.minimum((chunk + 1) * span // TILE, tiles) - 1
    while tile >= chunk * span // TILE:
        first = tile * TILE
        count = tl.minimum(steps - first, TILE)
        row = pair * tiles + tile  # of the states and of the partial sums
        h = load_float(states + row * state * dim + n_at, h_mask)
        replay_tile(
            h, x, params, delta, weight_d, bias_d, decay, table, history, start, first, count,
            steps, x_row, width_row, dim_row, dt_at, b_at, valid, r_mask, n_mask, at,
            STATE * BLOCK, RANK, TABLE, SOFTPLUS,
        )  # fmt: skip
        tl.debug_barrier()  # the sweep reads what other lanes may have written
        g, dA_t, dD_t, dbias_t, dweight_t = sweep_tile(
            g, dy, x, params, delta, weight_d, bias_d, decay, skip, table, history,
            dx, ddelta, dparams, start, first, count, steps, x_row, width_row, dim_row,
            dt_at, b_at, c_at, valid, r_mask, n_mask, at,
            rank, state, STATE, STATE * BLOCK, RANK, TABLE, SOFTPLUS,
        )  # fmt: skip
        tl.store(dA + row * state * dim + n_at, dA_t, mask=h_mask)
        tl.store(dD + row * dim + cols, dD_t, mask=valid)
        tl.store(dbias + row * dim + cols, dbias_t, mask=valid)
        if RANK > 0:
            tl.store(dweight + row * rank * dim + r_at, dweight_t, mask=w_mask)
        tl.debug_barrier()  # the next tile overwrites the history
        tile -= 1
