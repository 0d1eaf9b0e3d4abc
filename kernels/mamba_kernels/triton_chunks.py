"""What a chunk of a route hands to the next one: so that several programs can share a route.

In three phases. `chunk_ends` runs every chunk from a state of zero, all but the one that nothing
follows, and leaves the state it ends in and the sum of its step sizes; `carry_chunks` turns these
into what truly leaves each chunk, as a chunk decays what enters it by exp(A sum delta); then
scan_forward or scan_backward (triton_scan) runs each chunk from what enters it. The reverse sweep
does the same from the far end with g, which is exp(delta A) (g + dy C) one step earlier.

ends (batch, routes, chunks - 1, state, dim) and totals (batch, routes, chunks - 1, dim) belong to
the border behind each chunk: what crosses it, forwards or backwards.

Not yet run on a GPU.
"""

import triton
import triton.language as tl

from .triton_scan import (
    LOG2E,
    POINTERS,
    columns,
    load_float,
    program_place,
    read_source,
    step_size,
    tile_places,
    token_of,
)


@triton.jit(do_not_specialize_on_alignment=POINTERS)
def chunk_ends(
    x, params, delta, weight, bias, A, table, ends, totals,
    length, steps, span, dim, routes, x_row, x_route,
    rank: tl.constexpr, state: tl.constexpr, RANK: tl.constexpr, STATE: tl.constexpr,
    BLOCK: tl.constexpr, TABLE: tl.constexpr, SOFTPLUS: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """One chunk from zero; in REVERSE x is dy. Border b ends chunk b, in reverse chunk b + 1."""
    pair, route, place = program_place(dim, routes, BLOCK)
    cols = place.to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    valid = cols < dim
    h_at, h_mask, n_mask = tile_places(place, dim, state, STATE, BLOCK)
    w_at, w_mask, r_mask = tile_places(place, dim, rank, RANK if RANK > 0 else 1, BLOCK)
    dt_at = columns(0, RANK if RANK > 0 else 1, BLOCK)
    m_at = columns(rank + (state if REVERSE else 0), STATE, BLOCK)  # C, or forwards B
    width_row, dim_row = routes * (rank + 2 * state), routes * dim
    decay = load_float(A + route * state * dim + h_at, h_mask) * LOG2E
    bias_d = load_float(bias + route * dim + cols, valid)
    weight_d = load_float(weight + route * rank * dim + w_at, w_mask)
    x += route * x_route + cols[None, :]  # a tile too, laid out over the lanes as the state is
    params += route * (rank + 2 * state)
    delta += route * dim + cols
    table += route * steps
    start = pair // routes * length
    border = tl.program_id(1)
    row = pair * tl.num_programs(1) + border
    first = (border + (1 if REVERSE else 0)) * span
    count = tl.minimum(steps - first, span)
    way = -1 if REVERSE else 1
    first += (count - 1) if REVERSE else 0
    h = tl.zeros((STATE, BLOCK), dtype=tl.float32)
    total = tl.zeros((1, BLOCK), dtype=tl.float32)

    token = start + token_of(table, first, steps, TABLE)
    ahead = start + token_of(table, first + way, steps, TABLE)
    x_t = load_float(x + token * x_row, valid[None, :])
    source = read_source(params, delta, token, width_row, dim_row, dt_at, r_mask, valid, RANK)
    m_t = load_float(params + token * width_row + m_at, n_mask)
    i = 0
    while i < count:
        next_x = load_float(x + ahead * x_row, valid[None, :])
        next_source = read_source(
            params, delta, ahead, width_row, dim_row, dt_at, r_mask, valid, RANK
        )
        next_m = load_float(params + ahead * width_row + m_at, n_mask)
        step, slope = step_size(source, weight_d, bias_d, RANK, SOFTPLUS)
        if REVERSE:
            h = tl.exp2(step[None, :] * decay) * (h + x_t * m_t)
        else:
            h = tl.exp2(step[None, :] * decay) * h + (step[None, :] * x_t) * m_t
        total += step[None, :]
        ahead = start + token_of(table, first + (i + 2) * way, steps, TABLE)
        x_t, source, m_t = next_x, next_source, next_m
        i += 1
    tl.store(ends + row * state * dim + h_at, h, mask=h_mask)
    tl.store(totals + row * dim + cols[None, :], total, mask=valid[None, :])


@triton.jit(do_not_specialize_on_alignment=POINTERS)
def carry_chunks(
    A, dlast, ends, totals, borders, dim, routes,
    state: tl.constexpr, STATE: tl.constexpr, BLOCK: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """Add to each end, in place, what its chunk keeps of what entered it: zero, or dlast, first."""
    pair, route, place = program_place(dim, routes, BLOCK)
    cols = place.to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    h_at, h_mask, n_mask = tile_places(place, dim, state, STATE, BLOCK)
    decay = load_float(A + route * state * dim + h_at, h_mask) * LOG2E
    h = tl.zeros((STATE, BLOCK), dtype=tl.float32)
    if REVERSE:
        h = load_float(dlast + pair * state * dim + h_at, h_mask)
    i = 0
    while i < borders:
        row = pair * borders + ((borders - 1 - i) if REVERSE else i)
        total = load_float(totals + row * dim + cols, cols < dim)
        end = load_float(ends + row * state * dim + h_at, h_mask)
        h = tl.exp2(total[None, :] * decay) * h + end
        tl.store(ends + row * state * dim + h_at, h, mask=h_mask)
        i += 1
