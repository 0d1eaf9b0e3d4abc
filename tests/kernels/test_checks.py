"""Wrong arguments: an error that names the argument, what came, and what is needed."""

import pytest
import torch

from mamba_kernels import route_scan

from .cases import routed, selective

SELECTIVE = {
    'u': (torch.randn(2, 13), r'u has shape \(2, 13\); needed: \(batch, dim, length\)'),
    'delta': (torch.randn(2, 13, 6), r'delta has shape \(2, 13, 6\); needed: .*length=5'),
    'A': (torch.randn(12, 5), r'A has shape \(12, 5\); needed: \(dim=13, state=5\)'),
    'B': (torch.randn(2, 3, 5, 5), 'B has groups=3 .*dim=13'),
    'C': (torch.randn(2, 4, 5), r'C has shape \(2, 4, 5\); needed: \(batch=2, state=5, length=5\)'),
    'D': (torch.randn(1), r'D has shape \(1\); needed: \(dim=13\)'),
    'z': (torch.randn(2, 13, 1), 'z has shape'),
    'delta_bias': (torch.randn(13, 1), 'delta_bias has shape'),
}
ROUTED = {
    'x': (torch.randn(2, 6), r'x has shape \(2, 6\); needed: \(batch, tokens, dim\)'),
    'params': (torch.randn(2, 6, 4, 12), r'params has shape .*rank \+ 2 state=13'),
    'dt_weight': (torch.randn(4, 12, 3), r'dt_weight has shape .*dim=13'),
    'dt_bias': (torch.randn(52), 'dt_bias has shape'),
    'A': (torch.randn(52, 5), r'A has shape \(52, 5\); needed: \(routes, dim, state\)'),
    'D': (torch.randn(4, 12), 'D has shape'),
}


@pytest.mark.parametrize('name', SELECTIVE)
def test_wrong_shapes_of_selective_scan(name):
    case = selective(5).to(torch.float32)
    case.tensors[name], message = SELECTIVE[name]
    with pytest.raises(ValueError, match=message):
        case.run(None)


@pytest.mark.parametrize('name', ROUTED)
def test_wrong_shapes_of_route_scan(name):
    case = routed((2, 3)).to(torch.float32)
    case.tensors[name], message = ROUTED[name]
    with pytest.raises(ValueError, match=message):
        case.run(None)


@pytest.mark.parametrize('case', [selective(3), routed((1, 3))], ids=lambda case: case.op)
def test_complex_and_whole_numbers_are_refused(case):
    tensors = dict(case.tensors)
    case.tensors['A'] = tensors['A'].to(torch.complex64)
    with pytest.raises(TypeError, match='A is torch.complex64; the scan is real'):
        case.run(None)
    case.tensors['A'] = tensors['A'].long()
    with pytest.raises(TypeError, match='A is torch.int64; allowed: torch.float16'):
        case.run(None)
    case.tensors['A'] = 1.0
    with pytest.raises(TypeError, match='A is a float; a tensor is needed'):
        case.run(None)
    case.tensors.update(tensors)


@pytest.mark.parametrize('case', [selective(3), routed((1, 3))], ids=lambda case: case.op)
def test_tensors_on_two_devices_are_refused(case):
    case.tensors['A'] = case.tensors['A'].to('meta')
    with pytest.raises(ValueError, match='A is on meta, . on cpu'):
        case.run(None)


def table(rows):
    return torch.tensor(rows, dtype=torch.int32)


@pytest.mark.parametrize(
    ('routes', 'error', 'message'),
    [
        pytest.param(table([[0, 1, 6]]), ValueError, 'token 6; x has tokens 0 to 5', id='beyond'),
        pytest.param(table([[0, -1, 2]]), ValueError, 'token -1', id='negative'),
        pytest.param(table([[3, 1, 3]]), ValueError, 'route 0 visits token 3 twice', id='twice'),
        pytest.param(table([[0], [1]]), ValueError, '2 routes; A is made for 1', id='routes'),
        pytest.param(table([list(range(7))]), ValueError, '7 steps', id='long'),
        pytest.param(table([0, 1]), ValueError, r'needed: \(routes, steps\)', id='flat'),
        pytest.param(table([[]]), ValueError, 'steps must be at least 1', id='empty'),
        pytest.param(torch.tensor([[0, 1]]), TypeError, 'torch.int32 is needed', id='long-int'),
        pytest.param('diagonal', ValueError, 'diagonal.*known: forward, bidirectional', id='name'),
        pytest.param('bidirectional', ValueError, '2 routes; A is made for 1', id='other-count'),
        pytest.param(('cross', (2, 2)), ValueError, '4 tokens, x has 6', id='other-grid'),
        pytest.param('cross', ValueError, 'cross.*grid', id='no-grid'),
    ],
)
def test_wrong_routes(routes, error, message):
    case = routed((2, 3), routes='forward').to(torch.float32)
    with pytest.raises(error, match=message):
        route_scan(*case.tensors.values(), routes)


def test_a_table_changed_after_its_first_use_is_looked_at_again():
    case = routed((2, 3), routes=table([[0, 1, 2]])).to(torch.float32)
    case.run('chunked')
    case.options['routes'][0, 0] = 9
    with pytest.raises(ValueError, match='token 9'):
        case.run('chunked')


def test_a_wrong_result_dtype():
    case = routed((2, 3)).to(torch.float32)
    with pytest.raises(TypeError, match=r'out_dtype=torch.int32; allowed'):
        route_scan(*case.tensors.values(), **case.options, out_dtype=torch.int32)
