"""The comparison itself: a wrong number, count, name or size must not pass."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from mamba_dense.reference import compare
from mamba_dense.reference.compare import difference, verify
from mamba_dense.reference.fill import fill, image
from mamba_dense.reference.record import read_record, sample
from mamba_dense.reference.subject import Subject, Tap, observe
from mamba_dense.weights import KeyMap


def _write(folder, name='toy', **changes):
    """A record of a linear map under the authors' name `net.fc`, with our `linear`."""
    weight, bias = fill('net.fc.weight', (4, 3)), fill('net.fc.bias', (4,))
    x = image('x', (2, 3))
    record = {
        'family': 'toy',
        'build': {
            'kind': 'part',
            'target': 'Fc',
            'args': {},
            'call': {},
            'mode': 'eval',
            'prefix': 'net.',
            'inputs': ['x'],
            'layout': None,
        },
        'num_parameters': 16,
        'state_dict': [['fc.weight', [4, 3], 'parameter'], ['fc.bias', [4], 'parameter']],
        'inputs': [{'name': 'x', 'shape': [2, 3], 'rule': 'fill.image(name, shape)'}],
        'outputs': [{'name': 'out', 'shape': [2, 4]}],
    }
    arrays = {'out': (x @ weight.T + bias).ravel(), **changes.pop('arrays', {})}
    record['build'].update(changes.pop('build', {}))
    record.update(changes)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{name}.json'
    path.write_text(json.dumps(record))
    np.savez(path.with_suffix('.npz'), **arrays)
    return path


def _build(record):
    module = nn.ModuleDict({'linear': nn.Linear(3, 4)})
    keymap = KeyMap(rename=((r'^net\.', 'ours.'), (r'\.fc\.', '.linear.')))
    return Subject(lambda inputs: {'out': module['linear'](*inputs)}, module, keymap)


@pytest.fixture
def table(monkeypatch):
    """A family table with one target; changed by the tests."""
    table = {'Fc': _build}
    monkeypatch.setattr(compare, 'targets', lambda family: table if family == 'toy' else {})
    return table


# the seed of a weight is its name within the part; the record's own numbers say so
def _arrays(scale=1.0, **more):
    weight, bias = fill('fc.weight', (4, 3)), fill('fc.bias', (4,))
    return {'out': scale * (image('x', (2, 3)) @ weight.T + bias).ravel(), **more}


def test_a_record_that_agrees(table, tmp_path):
    outcome = verify(read_record(_write(tmp_path / 'toy', arrays=_arrays())))
    assert (outcome.status, outcome.parameters, outcome.reasons) == ('OK', 16, ())
    assert outcome.error < 1e-14


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'arrays': _arrays(1 + 3e-6)}, "output 'out' differs by 3.00e-06"),
        ({'arrays': _arrays(), 'num_parameters': 17}, '16 parameters, the authors have 17'),
        (
            {'arrays': _arrays(), 'outputs': [{'name': 'more', 'shape': [2, 4]}]},
            "output 'more' is not returned",
        ),
        (
            {'arrays': _arrays(), 'outputs': [{'name': 'out', 'shape': [2, 5]}]},
            "output 'out' has 8 values",
        ),
    ],
    ids=['number', 'count', 'name', 'size'],
)
def test_a_record_that_does_not_agree(table, tmp_path, changes, words):
    outcome = verify(read_record(_write(tmp_path / 'toy', **changes)))
    assert outcome.status == 'FAIL'
    assert words in outcome.reasons[0]


def test_keys_must_fit_on_both_sides(table, tmp_path):
    rows = [['fc.weight', [4, 3], 'parameter'], ['other', [1], 'parameter']]
    path = _write(tmp_path / 'toy', state_dict=rows, arrays=_arrays())
    with pytest.raises(ValueError, match=r'missing .*ours\.linear\.bias.*unknown .*other'):
        verify(read_record(path))


def test_an_unknown_target_is_unsupported(table, tmp_path):
    path = _write(tmp_path / 'toy', build={'target': 'Other'})
    assert verify(read_record(path)).status == 'UNSUPPORTED'
    assert verify(read_record(path), 'nobody').status == 'UNSUPPORTED'


def test_integers_are_compared_exactly(table, tmp_path):
    golden = np.arange(5_000_000, 5_000_008)
    arrays = {'out': golden}
    for ours, status in ((golden, 'OK'), (golden + 1, 'FAIL')):
        outputs = {'out': torch.from_numpy(ours)}
        table['Fc'] = lambda record, outputs=outputs: Subject(lambda inputs: outputs)
        path = _write(tmp_path / 'toy', arrays=arrays, num_parameters=0)
        assert verify(read_record(path)).status == status


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_what_is_not_finite_fails(table, tmp_path, bad):
    ours = torch.full((2, 4), bad)
    table['Fc'] = lambda record: Subject(lambda inputs: {'out': ours})
    path = _write(tmp_path / 'toy', arrays=_arrays(), num_parameters=0)
    assert verify(read_record(path)).status == 'FAIL'


def test_difference_is_relative_to_the_largest():
    golden = np.array([1.0, -4.0])
    assert difference(np.array([1.0, -4.2]), golden) == pytest.approx(0.05)
    assert difference(np.array([3e-12]), np.array([0.0])) == pytest.approx(3.0)
    assert difference(np.array([np.inf, 2.0]), np.array([np.inf, 2.0])) == 0.0
    assert np.isnan(difference(np.zeros(2), np.zeros(3)))


def test_sampled_rows_and_given_arrays(tmp_path):
    row = {
        'name': 'out',
        'shape': [2, 4],
        'sampled': 'flat[np.unique(np.linspace(0, size-1, 3).astype(int64))]',
    }
    assert sample(row, np.arange(8)).tolist() == [0, 3, 7]
    with pytest.raises(ValueError, match='not a known formula'):
        sample({'name': 'out', 'sampled': 'flat[::2]'}, np.arange(8))
    arrays = _arrays(
        **{
            'input:x': np.ones((2, 3)),
            'constant:fc.bias': np.arange(4.0),
            'given:order': np.arange(3),
        }
    )
    rows = [['fc.weight', [4, 3], 'parameter'], ['fc.bias', [4], 'constant']]
    record = read_record(_write(tmp_path / 'toy', arrays=arrays, state_dict=rows))
    assert torch.equal(record.inputs()[0], torch.ones(2, 3, dtype=torch.float64))
    assert torch.equal(record.weights()['net.fc.bias'], torch.arange(4.0, dtype=torch.float64))
    assert record.given('given:order').tolist() == [0, 1, 2]
    assert record.given(7) == 7
    with pytest.raises(ValueError, match="no array 'given:none'"):
        record.given('given:none')


@pytest.mark.parametrize('damage', ['json', 'entry', 'npz', 'absent'])
def test_a_damaged_record_is_named(tmp_path, damage):
    path = _write(tmp_path / 'toy')
    if damage == 'json':
        path.write_text('{')
    elif damage == 'entry':
        path.write_text('{"family": "toy"}')
    elif damage == 'npz':
        path.with_suffix('.npz').write_bytes(b'PK')
    else:
        path.with_suffix('.npz').unlink()
    with pytest.raises(ValueError, match=r'toy\.json'):
        read_record(path)


def test_taps_see_inputs_and_outputs_and_go_away():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    x = torch.randn(2, 3)
    result, seen = observe(net, [x], {'in': Tap(net[1], of_input=True), 'out': Tap(net[1])})
    assert torch.equal(seen['in'], net[0](x))
    assert torch.equal(seen['out'], result)
    assert not net[1]._forward_hooks


# crc32-seeded MT19937 streams: the first numbers of a few rules, so that a rule cannot drift
def test_fill_rules():
    assert fill('a.num_batches_tracked', ()).shape == ()
    assert np.all((fill('bn.running_var', (50,)) >= 0.5) & (fill('bn.running_var', (50,)) < 1.5))
    assert abs(fill('x.A_logs', (500, 4)).mean(axis=0) - np.log([1, 2, 3, 4])).max() < 0.02
    assert abs(fill('x.dt_projs_bias', (4, 500)).mean() + 3) < 0.05
    assert abs(fill('op.dt_proj.bias', (2000,)).mean() + 3) < 0.05
    assert abs(fill('norm.bias', (2000,)).std() - 0.1) < 0.01
    assert abs(fill('x_proj_weight', (4, 50, 100)).std() - 0.1) < 0.005
    assert abs(fill('fc.weight', (50, 10, 10)).std() - 0.1) < 0.005
    assert abs(image('x', (1, 3, 64, 64)).std() - 0.65) < 0.3
    assert not np.array_equal(fill('a.weight', (3,)), fill('b.weight', (3,)))
