"""VMamba's table: records of other sizes and spellings build, and what is not built says so."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mamba_dense.reference import compare
from mamba_dense.reference.record import read_record
from mamba_dense.reference.subject import UnsupportedError
from mamba_dense.reference.vmamba import CORES, TARGETS

GOLDEN = Path(__file__).resolve().parents[1] / 'golden' / 'vmamba'


def _record(name, tmp_path, args=None, **changes):
    """A golden record with some of its arguments changed, as a user would write one."""
    data = json.loads((GOLDEN / f'{name}.json').read_text())
    data['build']['args'].update(args or {})
    data['build'].update(changes.pop('build', {}))
    data.update(changes)
    path = tmp_path / f'{name}.json'
    path.write_text(json.dumps(data))
    path.with_suffix('.npz').write_bytes((GOLDEN / f'{name}.npz').read_bytes())
    return read_record(path)


def _run(record, *inputs):
    subject = TARGETS[record.target](record)
    subject.module.eval().double()
    with torch.inference_mode():
        return subject, subject.run(inputs)


SMALL = {'dims': 16, 'depths': [1, 1, 1]}


@pytest.mark.parametrize('name', ['vanilla_vmamba_tiny', 'vmamba_tiny_s1l8'])
def test_classifiers_of_other_sizes(tmp_path, name):
    record = _record(name, tmp_path, {**SMALL, 'num_classes': 7, 'in_chans': 2})
    _, outputs = _run(record, torch.randn(2, 2, 36, 52, dtype=torch.float64))
    assert outputs['logits'].shape == (2, 7)
    vanilla = name.startswith('vanilla')  # its maps are channel-last
    grids = [(9, 13), (5, 7), (3, 4)]
    for i, (H, W) in enumerate(grids):
        shape = (2, H, W, 16 * 2**i) if vanilla else (2, 16 * 2**i, H, W)
        assert outputs[f'stage{i}'].shape == shape
    assert outputs['stem'].shape == outputs['stage0'].shape
    assert outputs['down1'].shape == outputs['stage2'].shape
    assert 'down2' not in outputs


def test_widths_may_be_listed_and_norms_channel_last(tmp_path):
    args = {'dims': [16, 24, 40], 'depths': [1, 2, 1], 'norm_layer': 'ln', 'ssm_ratio': 2}
    record = _record('vmamba_tiny_s1l8', tmp_path, args)
    _, outputs = _run(record, torch.randn(1, 3, 32, 48, dtype=torch.float64))
    assert outputs['stage1'].shape == (1, 4, 6, 24)


@pytest.mark.parametrize(
    ('indices', 'names', 'expected'),
    [
        ([0, 2], ('out0', 'out2'), {'out0': 16, 'out2': 64}),
        ([1, 2], ('out0', 'out1'), {'out0': 32, 'out1': 64}),
    ],
    ids=['by stage', 'by position'],
)
def test_backbone_outputs_by_stage_or_position(tmp_path, indices, names, expected):
    rows = [{'name': name, 'shape': []} for name in names]
    record = _record(
        'vmamba_tiny_s1l8_backbone', tmp_path, {**SMALL, 'out_indices': indices}, outputs=rows
    )
    _, outputs = _run(record, torch.randn(1, 3, 40, 32, dtype=torch.float64))
    assert {name: y.shape[1] for name, y in outputs.items()} == expected


@pytest.mark.parametrize('core', CORES)
@pytest.mark.parametrize('layout', ['BCHW', 'BHWC'])
@pytest.mark.parametrize('gated', [False, True])
def test_every_mixer_in_both_layouts(tmp_path, core, layout, gated):
    record = _record(
        'mixer_ss2d_v05_noz_cf',
        tmp_path,
        {'d_model': 16, 'd_state': 3, 'forward_type': core if gated else f'{core}_noz'},
        build={'layout': layout},
    )
    shape = (1, 16, 3, 5) if layout == 'BCHW' else (1, 3, 5, 16)
    subject, outputs = _run(record, torch.randn(shape, dtype=torch.float64))
    inner = (1, 32, 3, 5) if layout == 'BCHW' else (1, 3, 5, 32)
    assert outputs['conv'].shape == (1, 32, 3, 5)
    assert outputs['merged'].shape == outputs['normed'].shape == inner
    assert subject.module.in_proj.weight.shape == (64 if gated else 32, 16)


def test_the_first_mixer_has_a_gate_and_a_bias_whatever_is_said(tmp_path):
    record = _record('mixer_ss2d_v0', tmp_path, {'conv_bias': False})
    assert compare.verify(record).status == 'OK'


@pytest.mark.parametrize(
    ('name', 'args', 'words'),
    [
        ('mixer_ss2d_v05_noz_cf', {'forward_type': 'v05_noz_oncnorm'}, "'v05_noz_oncnorm'.*known"),
        ('mixer_ss2d_v05_noz_cf', {'forward_type': 'm0_noz'}, "'m0_noz' is not built"),
        ('mixer_ss2d_v05_noz_cf', {'d_conv': 5}, 'd_conv=5 is not built; only 3'),
        ('mixer_ss2d_v05_noz_cf', {'dt_rank': 7}, 'dt_rank=7 is not built'),
        ('mixer_ss2d_v05_noz_cf', {'surprise': 1}, 'unknown arguments surprise=1'),
        ('block_v0', {'gmlp': True}, 'gmlp=True is not built'),
        ('vmamba_tiny_s1l8', {'norm_layer': 'bn'}, "norm_layer='bn' is not built"),
        ('vmamba_tiny_s1l8', {'posembed': True}, 'posembed=True'),
        ('vmamba_tiny_s1l8', {'downsample_version': 'v2'}, "downsample_version='v2'"),
        ('patch_merging_odd', {'channel_first': True}, 'channel_first=True'),
    ],
)
def test_what_is_not_built_is_unsupported_with_its_reason(tmp_path, name, args, words):
    record = _record(name, tmp_path, args)
    with pytest.raises(UnsupportedError, match=words):
        TARGETS[record.target](record)
    outcome = compare.verify(record)
    assert outcome.status == 'UNSUPPORTED'
    assert outcome.reasons


def test_a_wrong_weight_is_noticed(tmp_path, monkeypatch):
    record = _record('mixer_ss2d_v05_noz_cf', tmp_path)
    real = type(record).weights

    def turned(self):
        weights = real(self)
        key = 'layers.0.blocks.0.op.A_logs'
        return weights | {key: weights[key].flip(0)}

    monkeypatch.setattr(type(record), 'weights', turned)
    outcome = compare.verify(record)
    assert outcome.status == 'FAIL'
    assert any('merged' in reason for reason in outcome.reasons)
    assert not any('conv' in reason for reason in outcome.reasons)
    assert np.isfinite(outcome.error)
