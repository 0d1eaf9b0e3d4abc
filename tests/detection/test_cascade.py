"""The cascade with one mask head: what it trains, what it predicts, where its gradients go."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

pytest.importorskip('mmdet', reason='needs the extra det')

from mmdet.models.roi_heads import CascadeRoIHead
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from mamba_dense.detection.cascade import OneMaskCascadeRoIHead, ScaledGradient
from mamba_dense.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / 'configs/_base_/models/cascade-mask-rcnn_vim.py'
BOX = (8.0, 8.0, 40.0, 44.0)


@pytest.fixture(scope='module')
def model():
    """The base's detector with narrow heads on Vim nano, padded to squares of 64."""
    cfg = Config.fromfile(BASE).model
    init_default_scope('mmdet')
    cfg.data_preprocessor.pad_size_divisor = 64
    cfg.backbone.update(arch='nano', img_size=64, out_indices=(7,))
    cfg.neck.update(in_channels=[64], out_channels=16, scales=(2, 1, 0.5, 0.25))
    cfg.rpn_head.update(in_channels=16, feat_channels=16)
    roi = cfg.roi_head
    roi.bbox_roi_extractor.out_channels = roi.mask_roi_extractor.out_channels = 16
    for head in roi.bbox_head:
        head.update(in_channels=16, conv_out_channels=16, fc_out_channels=32, num_classes=2)
    roi.mask_head.update(in_channels=16, conv_out_channels=16, num_classes=2)
    for stage in cfg.train_cfg.rcnn:
        stage.sampler.num = 16
    cfg.test_cfg.rpn.max_per_img = 20
    cfg.test_cfg.rcnn.update(max_per_img=5, score_thr=0.0)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model


def batch(objects=1):
    sample = DetDataSample()
    sample.set_metainfo(dict(img_shape=(48, 60), ori_shape=(48, 60), scale_factor=(1.0, 1.0)))
    found = InstanceData()
    found.bboxes = torch.tensor([BOX] * objects).reshape(-1, 4)
    found.labels = torch.ones(objects, dtype=torch.long)
    masks = torch.zeros(objects, 48, 60)
    masks[:, 8:44, 8:40] = 1
    found.masks = BitmapMasks(masks.numpy().astype('uint8'), 48, 60)
    sample.gt_instances = found
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0))
    return {'inputs': [torch.randint(256, (3, 48, 60)).float()], 'data_samples': [sample]}


def test_losses_of_three_stages_and_one_mask(model):
    model.train()
    assert len(model.roi_head.mask_head) == len(model.roi_head.mask_roi_extractor) == 1
    data = model.data_preprocessor(batch(), training=True)
    assert data['inputs'].shape[2:] == (64, 64)
    losses = model(**data, mode='loss')
    stages = {name for name in losses if name.startswith('s')}
    boxes = {f's{i}.{name}' for i in range(3) for name in ('loss_cls', 'loss_bbox', 'acc')}
    assert stages == boxes | {'s0.loss_mask'}
    total = sum(
        sum(value) if isinstance(value, list) else value
        for name, value in losses.items()
        if 'loss' in name
    )
    model.zero_grad()
    total.backward()
    assert torch.isfinite(total)
    lacking = [name for name, p in model.named_parameters() if p.grad is None]
    assert not lacking


@pytest.mark.parametrize('objects', [0, 1])
def test_pictures_with_and_without_objects(model, objects):
    model.train()
    data = model.data_preprocessor(batch(objects), training=True)
    losses = model(**data, mode='loss')
    assert all(torch.isfinite(torch.as_tensor(losses[f's{i}.loss_cls'])) for i in range(3))
    assert torch.isfinite(losses['s0.loss_mask'])


def test_predicts_masks_in_the_boxes(model):
    model.eval()
    with torch.no_grad():
        (found,) = model.test_step(batch())
    found = found.pred_instances
    assert 0 < len(found) <= 5
    assert found.masks.shape == (len(found), 48, 60)
    with torch.no_grad():  # every stage's box counts in the score
        model.roi_head.bbox_head[0].fc_cls.bias[0] += 3
        (moved,) = model.test_step(batch())
        model.roi_head.bbox_head[0].fc_cls.bias[0] -= 3
    assert not torch.equal(moved.pred_instances.scores, found.scores)


def test_nothing_found(model):
    model.eval()
    threshold = model.roi_head.test_cfg.score_thr
    model.roi_head.test_cfg.score_thr = 1.0
    with torch.no_grad():
        (found,) = model.test_step(batch())
    model.roi_head.test_cfg.score_thr = threshold
    assert found.pred_instances.masks.shape == (0, 48, 60)


def test_maps_see_the_mean_of_the_stages(model):
    """A stage's losses are mmdet's; what they send to the maps is a third of mmdet's."""
    head = model.roi_head.train()
    maps = [torch.randn(1, 16, 64 // s, 64 // s, requires_grad=True) for s in (4, 8, 16, 32)]
    proposals = InstanceData(priors=torch.tensor([BOX, (0.0, 0.0, 30.0, 30.0)]))
    objects = batch()['data_samples'][0].gt_instances
    assigned = head.bbox_assigner[1].assign(proposals, objects)
    sampled = [head.bbox_sampler[1].sample(assigned, proposals, objects)]
    grads = {}
    for cls in (CascadeRoIHead, OneMaskCascadeRoIHead):
        losses = cls.bbox_loss(head, 1, tuple(maps), sampled)['loss_bbox']
        grads[cls] = torch.autograd.grad(losses['loss_cls'] + losses['loss_bbox'], maps[0])[0]
    whole, third = grads.values()
    assert whole.abs().max() > 0
    torch.testing.assert_close(3 * third, whole)


def test_scaled_gradient():
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    y = ScaledGradient.apply(x, 0.25)
    assert torch.equal(y, x)
    y.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 0.25))
