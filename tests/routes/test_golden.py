"""Our tables against every golden record that pins an order of tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mamba_dense.reference.record import read_record
from mamba_dense.routes import routes
from mamba_dense.routes.shuffle import layer_seed

GOLDEN = Path(__file__).resolve().parents[1] / 'golden'
MHS_VM_SIZES = read_record(GOLDEN / 'mhs_vm' / 'scan_routes.json').args['sizes']
PATTERNS = {'C': 'snake', 'X': 'zigzag', 'S': 'spiral', 'Z': 'raster'}  # rows 2i, 2i + 1
SHUFFLED = [
    'base',
    'micro_cls_head',
    'micro_cls_middle',
    'micro_cls_tail',
    'micro_forward_reverse_shuffle_gate',
    'micro_forward_reverse_shuffle_mean',
]


def record(family, name):
    return read_record(GOLDEN / family / f'{name}.json')


@pytest.mark.parametrize('size', MHS_VM_SIZES, ids=lambda size: 'x'.join(map(str, size)))
def test_mhs_vm_base_routes_and_patterns(size):
    expected = record('mhs_vm', 'scan_routes').arrays['x'.join(map(str, size))].astype(np.int32)
    base = routes('mhs-vm', size).order.numpy()
    np.testing.assert_array_equal(base, expected)
    for k, name in enumerate(PATTERNS.values()):
        heads = routes(name, size).order.numpy()  # r0, r0 reversed, r1, r1 reversed
        np.testing.assert_array_equal(heads[::2], expected[2 * k : 2 * k + 2])
        np.testing.assert_array_equal(heads[1::2], expected[2 * k : 2 * k + 2, ::-1])


@pytest.mark.parametrize('pattern', PATTERNS)
def test_mhs_vm_heads_read_and_put_back(pattern):
    head = record('mhs_vm', f'scan_head_{pattern}')
    (x,) = head.inputs()
    B, C, H, W = x.shape
    table = routes(PATTERNS[pattern], (H, W))
    read = x.flatten(2)[:, :, table.order.long()].permute(0, 2, 1, 3)  # (B, 4, C, L)
    np.testing.assert_allclose(read.numpy().ravel(), head.array('routed_in'), rtol=1e-12)
    engine = torch.from_numpy(head.array('engine_out').reshape(B, 4, C, H * W))
    inverse = table.inverse.long()[None, :, None].expand_as(engine)
    back = engine.gather(3, inverse)
    np.testing.assert_array_equal(back.numpy().ravel(), head.array('rearranged'))


@pytest.mark.parametrize('size', ['4x6', '5x3'])
def test_fer_yolo_mamba_routes_and_merge(size):
    golden = record('fer_yolo_mamba', f'block_routes_{size}')
    x, ys = golden.inputs()
    B, C, H, W = x.shape
    table = routes('omnidirectional', (H, W))
    read = x.flatten(2)[:, :, table.order.long()].permute(0, 2, 1, 3)  # (B, 8, C, L)
    np.testing.assert_array_equal(read.numpy().ravel(), golden.array('scan'))
    ys = ys.view(B, 8, C, H * W)
    merged = ys.gather(3, table.inverse.long()[None, :, None].expand_as(ys)).sum(1)
    np.testing.assert_allclose(merged.numpy().ravel(), golden.array('merge'), rtol=1e-12)


def test_efficientvmamba_skip_scan():
    golden = record('efficientvmamba', 'block_skip_scan')
    (x,) = golden.inputs()
    table = routes('atrous', x.shape[2:])
    read = x.flatten(2)[:, :, table.order.long()].permute(0, 2, 1, 3)  # (B, 4, C, L / 4)
    np.testing.assert_allclose(read.numpy().ravel(), golden.array('xs'), rtol=1e-12)
    merged = torch.empty_like(x).flatten(2)
    for k, route in enumerate(table.order.long()):
        merged[:, :, route] = read[:, k]
    np.testing.assert_allclose(merged.numpy().ravel(), golden.array('merged'), rtol=1e-12)


@pytest.mark.parametrize('name', ['mixer_odd', 'mixer_even'])
def test_plainmamba_orders_and_directions(name):
    golden = record('plainmamba', name)
    table = routes('snake', golden.call['grid'])
    for k, (order, moves) in enumerate(zip(table.order, table.moves_on('cpu'), strict=True)):
        np.testing.assert_array_equal(order.numpy(), golden.array(f'order_{k}'))
        np.testing.assert_array_equal(moves.numpy(), golden.array(f'direction_{k}'))


@pytest.mark.parametrize('name', SHUFFLED)
def test_rsmamba_shuffles(name):
    permutations = record('rsmamba', name).array('given:permutations')
    L = permutations.shape[1]
    for layer, expected in enumerate(permutations):
        spec = {'name': 'forward-reverse-shuffle', 'seed': layer_seed(layer)}
        order = routes(spec, (L,)).order.numpy()
        np.testing.assert_array_equal(order, [np.arange(L), np.arange(L)[::-1], expected])
