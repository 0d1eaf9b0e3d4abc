"""Stages of a detector: they add up, every detector finds about as much, errors are named."""

import pytest
from mmengine.config import Config

pytest.importorskip('mmdet', reason='needs the extra det')

from mamba_dense.apis.stages import STAGES, table, time_stages
from tests.detection.mamba_yolo_cases import ROOT, config


def detector(name):
    cfg = config(masks=False)
    cfg['data_preprocessor'] = dict(type='mmdet.DetDataPreprocessor', std=[255.0] * 3, mean=[0] * 3)
    if name == 'rtmdet':
        cfg = Config.fromfile(ROOT / 'configs/_base_/models/rtmdet_nano.py').model
    return name, Config(dict(model=cfg, default_scope='mmdet'))


def test_stages_add_up():
    rounds = []
    results = time_stages(
        [detector('ours'), detector('rtmdet')],
        (128, 128),
        rounds=3,
        on_round=lambda: rounds.append(1),
    )
    assert len(rounds) == 3 and [r.name for r in results] == ['ours', 'rtmdet']
    for result in results:
        assert len(result.seconds) == len(STAGES) and min(result.seconds) > 0
        assert result.total == pytest.approx(sum(result.seconds), rel=0.5)
        assert 60 <= result.boxes <= 140
        assert all(a <= b for a, b in zip(result.fastest, (*result.seconds, result.total)))
    lines = table(results).splitlines()
    assert len(lines) == 4 and all(line.count('|') == len(STAGES) + 5 for line in lines)


def test_bad_numbers_are_named():
    with pytest.raises(ValueError, match='rounds=0'):
        time_stages([detector('ours')], rounds=0)


def test_another_make_is_refused():
    name, cfg = detector('ours')
    cfg.model = dict(type='mamba_dense.ImageClassifier',
                     backbone=dict(type='mamba_dense.VMamba', arch='nano', out_indices=(3,)),
                     head=dict(type='mamba_dense.NormPoolLinear', in_channels=256))  # fmt: skip
    with pytest.raises(ValueError, match='bbox_head'):
        time_stages([(name, cfg)], (64, 64), rounds=1)
