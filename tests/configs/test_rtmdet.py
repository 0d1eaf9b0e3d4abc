"""RTMDet on VMamba: the parts fit, the recipe is mmdet's, a step learns, a picture is searched."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mamba_dense.registry import MODELS

pytest.importorskip('mmdet', reason='needs the extra det')

from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

ROOT = Path(__file__).resolve().parents[2]
RTMDET = sorted((ROOT / 'configs/vmamba').glob('*_rtmdet_*_coco.py'))


def load(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize('path', RTMDET, ids=lambda path: path.stem.split('_')[0])
def test_parts_fit(path):
    cfg = load(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert tuple(cfg.model.neck.in_channels) == model.backbone.out_channels
    assert model.backbone.strides == (8, 16, 32)
    assert cfg.model.neck.out_channels == cfg.model.bbox_head.in_channels
    assert model.bbox_head.num_classes == 80


@pytest.mark.parametrize('path', RTMDET, ids=lambda path: path.stem.split('_')[0])
def test_recipe_is_that_of_mmdet(path):
    cfg = load(path)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 0.004, 0.05)
    assert (cfg.train_cfg.max_epochs, cfg.param_scheduler[1].begin) == (300, 150)
    assert cfg.train_dataloader.batch_size == 32
    assert cfg.train_dataloader.dataset.close_epoch == 280
    # boxes are put back by the scale alone: nothing may be padded at the top or left
    steps = [step.type for step in cfg.test_dataloader.dataset.pipeline]
    assert steps[1:3] == ['Resize', 'Pad']


def test_learns_a_step_and_searches_a_picture():
    cfg = load(ROOT / 'configs/vmamba/vmamba-t-s1l8_rtmdet_8xb32-300e_coco.py')
    cfg.model.backbone.update(arch='nano', init_cfg=None)
    cfg.model.neck.update(in_channels=[64, 128, 256], out_channels=64, norm_cfg=dict(type='BN'))
    cfg.model.bbox_head.update(in_channels=64, feat_channels=64, norm_cfg=dict(type='BN'))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    sample = DetDataSample()
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8.0, 40.0, 56.0]]), labels=torch.tensor([3])
    )
    sample.set_metainfo(
        {
            'img_shape': (64, 64),
            'ori_shape': (64, 64),
            'batch_input_shape': (64, 64),
            'pad_shape': (64, 64),
            'scale_factor': (1.0, 1.0),
        }
    )
    losses = model.loss(torch.randn(2, 3, 64, 64), [sample, sample])
    total = sum(sum(value) if isinstance(value, list) else value for value in losses.values())
    total.backward()
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert torch.isfinite(total)
    assert not lacking
    with torch.no_grad():
        found = model.eval().predict(torch.randn(1, 3, 64, 64), [sample])
    assert found[0].pred_instances.bboxes.shape[1] == 4
