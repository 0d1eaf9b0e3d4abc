"""Reading files: kinds, wrappings, damage, and what is refused without trust."""

import argparse
import collections
import pathlib
import pickle
import sys
import types

import numpy as np
import pytest
import safetensors.torch
import torch

from mamba_dense.weights.read import read_tensors

STATE = {'a.weight': torch.arange(6.0).view(2, 3), 'a.bias': torch.ones(2)}


def _same(tensors):
    return list(tensors) == list(STATE) and all(torch.equal(tensors[k], STATE[k]) for k in STATE)


@pytest.mark.parametrize(
    'content',
    [
        STATE,
        collections.OrderedDict(STATE),
        {'state_dict': STATE, 'meta': {'epoch': 3}},
        {'model': STATE, 'epoch': 3, 'max_accuracy': 82.6, 'optimizer': {'state': {}}},
        {'model': STATE, 'model_ema': {'a.weight': torch.zeros(2, 3)}},
        {'model_ema': STATE},
        {'model': {'state_dict': STATE}},
        {'state_dict': {f'module.{key}': value for key, value in STATE.items()}},
        {f'module._orig_mod.{key}': value for key, value in STATE.items()},
        {
            'state_dict': {'n_averaged': torch.tensor(3)}
            | {f'module.{k}': v for k, v in STATE.items()}
        },
    ],
    ids=['bare', 'ordered', 'mm', 'swin', 'both', 'ema', 'nested', 'ddp', 'compiled', 'averaged'],
)
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_wrappings_come_off(tmp_path, content, zipped):
    path = tmp_path / 'w.pth'
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert _same(read_tensors(path))
    assert _same(read_tensors(path, trusted=True))


def test_safetensors(tmp_path):
    path = tmp_path / 'w.safetensors'
    safetensors.torch.save_file(STATE, path)
    tensors = read_tensors(path)
    assert all(torch.equal(tensors[key], STATE[key]) for key in STATE)


def test_bookkeeping_of_training_programs_needs_no_trust(tmp_path):
    history = pytest.importorskip('mmengine.logging').HistoryBuffer([1.0, 2.0], [1, 1])
    content = {
        'state_dict': STATE,
        'message_hub': {'log_scalars': {'train/loss': history}, 'runtime_info': {'iter': 3}},
        'max_accuracy': np.float64(82.6),
        'scores': np.arange(3),
        'args': argparse.Namespace(lr=1e-3, out=pathlib.Path('work')),
    }
    path = tmp_path / 'w.pth'
    torch.save(content, path)
    assert _same(read_tensors(path))


def _with_config(tmp_path, monkeypatch):
    """A file that carries a configuration of a package that is not installed."""
    module = types.ModuleType('yacs.config')
    module.CfgNode = type('CfgNode', (dict,), {'__module__': 'yacs.config'})
    package = types.ModuleType('yacs')
    package.config = module
    monkeypatch.setitem(sys.modules, 'yacs', package)
    monkeypatch.setitem(sys.modules, 'yacs.config', module)
    node = module.CfgNode(lr=1e-3, deep=module.CfgNode(x=1))
    node.frozen = True
    path = tmp_path / 'w.pth'
    torch.save({'model': STATE, 'config': node}, path)
    monkeypatch.delitem(sys.modules, 'yacs.config')
    monkeypatch.delitem(sys.modules, 'yacs')
    return path


@pytest.mark.parametrize('trusted', [False, True])
def test_configuration_of_an_absent_package(tmp_path, monkeypatch, trusted):
    path = _with_config(tmp_path, monkeypatch)
    assert _same(read_tensors(path, trusted=trusted))


class _Touch:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_code_is_refused_until_trusted(tmp_path, zipped):
    path, proof = tmp_path / 'w.pth', tmp_path / 'proof'
    content = {'model': STATE, 'extra': _Touch(proof)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        ValueError, match=r'w\.pth holds more than weights: .*trusted=True'
    ) as caught:
        read_tensors(path)
    assert '--trusted' in str(caught.value)
    assert not proof.exists()
    assert _same(read_tensors(path, trusted=True))
    assert proof.exists()


@pytest.mark.parametrize('name', ['os.system', 'builtins.eval', 'subprocess.Popen'])
def test_the_reason_names_what_is_asked_for(tmp_path, name):
    module, _, attribute = name.rpartition('.')
    path = tmp_path / 'w.pth'
    content = f'c{module}\n{attribute}\n'.encode()
    path.write_bytes(pickle.PROTO + b'\x02' + content + b'.')
    with pytest.raises(ValueError) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('share', [0.0, 0.3, 0.99])
def test_a_file_cut_short(tmp_path, suffix, share):
    path = tmp_path / f'w{suffix}'
    large = {'a': torch.randn(100, 100)}
    if suffix == '.pth':
        torch.save({'state_dict': large}, path)
    else:
        safetensors.torch.save_file(large, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r'(cut short, damaged|is empty)') as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    'content', [b'not a weight file', b'<html>', b'\x80\x02', b'PK\x03\x04zip']
)
@pytest.mark.parametrize('trusted', [False, True])
def test_another_kind_of_file(tmp_path, content, trusted):
    path = tmp_path / 'w.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'w\.pth'):
        read_tensors(path, trusted=trusted)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ({'epoch': 3}, "holds no weights: its entries are 'epoch'"),
        ([1, 2], 'holds a list'),
        (torch.zeros(3), 'holds a Tensor'),
    ],
)
def test_a_file_without_weights(tmp_path, content, words):
    path = tmp_path / 'w.pth'
    torch.save(content, path)
    with pytest.raises(ValueError, match=words):
        read_tensors(path)
