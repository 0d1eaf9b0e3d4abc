"""Vim's table: records of other sizes and options build, and what is not built says so."""

import json
from pathlib import Path

import pytest
import torch

from mamba_dense.reference import compare
from mamba_dense.reference.record import read_record
from mamba_dense.reference.vim import TARGETS

GOLDEN = Path(__file__).resolve().parents[1] / 'golden' / 'vim'
SMALL = {'embed_dim': 32, 'depth': 3}


def _record(name, tmp_path, args=None, **build):
    """A golden record with some of its arguments changed, as a user would write one."""
    data = json.loads((GOLDEN / f'{name}.json').read_text())
    changed = data['build']['args']
    for key, value in (args or {}).items():
        changed[key] = changed[key] | value if isinstance(value, dict) else value
    data['build'].update(build)
    path = tmp_path / f'{name}.json'
    path.write_text(json.dumps(data))
    path.with_suffix('.npz').write_bytes((GOLDEN / f'{name}.npz').read_bytes())
    return read_record(path)


def _run(record, *inputs):
    subject = TARGETS[record.target](record)
    if subject.module is not None:
        subject.module.eval().double()
    with torch.inference_mode():
        return subject.run(inputs)


def test_a_classifier_of_another_size(tmp_path):
    args = {**SMALL, 'img_size': [40, 72], 'stride': 8, 'num_classes': 7, 'channels': 2}
    outputs = _run(_record('tiny', tmp_path, args), torch.randn(2, 2, 40, 72).double())
    assert outputs['logits'].shape == (2, 7)
    assert outputs['embed'].shape == outputs['hidden_2'].shape == (2, 4 * 8 + 1, 32)
    assert 'residual_3' not in outputs


@pytest.mark.parametrize('name', ['seg_tiny', 'seg_small'])
def test_segmentation_on_odd_grids(tmp_path, name):
    args = {**SMALL, 'img_size': 80, 'out_indices': [0, 1, 2], 'init_layer_scale': 0.1}
    outputs = _run(_record(name, tmp_path, args), torch.randn(1, 3, 80, 80).double())
    assert [tuple(outputs[f'out{i}'].shape[2:]) for i in range(3)] == [(20, 20), (10, 10), (5, 5)]


def test_a_detector_of_another_width(tmp_path):
    args = {'net': {**SMALL, 'img_size': 96}, 'out_channels': 8}
    outputs = _run(_record('det_tiny', tmp_path, args), torch.randn(1, 3, 96, 96).double())
    sides = {name: y.shape[-1] for name, y in outputs.items()}
    assert sides == {'last_feat': 6, 'p2': 24, 'p3': 12, 'p4': 6, 'p5': 3, 'p6': 2}


def test_positions_and_rotary_tables_of_other_sizes(tmp_path):
    record = _record('pos_interp', tmp_path, {'num_extra_tokens': 0, 'img_size': 48})
    assert _run(record, torch.randn(1, 16, 24).double())['out'].shape == (1, 9, 24)
    record = _record('rope', tmp_path, {'ft_seq_len': None})
    assert _run(record, torch.randn(1, 196, 32).double())['odd'].shape == (1, 197, 32)


@pytest.mark.parametrize(
    ('name', 'args', 'words'),
    [
        ('tiny', {'use_double_cls_token': True}, 'use_double_cls_token=True is not built'),
        ('tiny', {'if_rope': True, 'if_rope_residual': True}, 'beside a class token'),
        ('tiny', {'bimamba_type': 'v1'}, "bimamba_type='v1' is not built"),
        ('tiny', {'if_cls_token': False}, 'if_cls_token=False'),
        ('seg_tiny', {'last_layer_process': 'add & norm'}, "'add & norm' is not built"),
        ('seg_tiny', {'if_rope': True}, 'together'),
        ('seg_tiny', {'out_indices': [3]}, 'without the last block'),
        ('seg_tiny', {'surprise': 1}, 'unknown arguments surprise=1'),
        ('det_tiny', {'net': {'out_feature': 'x'}}, "out_feature='x'"),
        ('det_tiny', {'norm': 'BN'}, "norm='bn'"),
        ('mixer_v2', {'dt_rank': 7}, 'dt_rank=7 is not built'),
        ('block', {'rms_norm': False}, 'rms_norm=False'),
        ('rope', {'freqs_for': 'pixel'}, "freqs_for='pixel'"),
    ],
)
def test_what_is_not_built_is_unsupported_with_its_reason(tmp_path, name, args, words):
    outcome = compare.verify(_record(name, tmp_path, args))
    assert outcome.status == 'UNSUPPORTED'
    assert words in outcome.reasons[0]
