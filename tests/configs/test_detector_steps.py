"""The smallest detector of each family and head makes a step of training, and predicts."""

import pytest
import torch

pytest.importorskip('mmdet', reason='needs the extra det')

from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData

from mamba_dense.registry import MODELS
from tests.configs.test_family_detectors import COCO, load, parts

SIDE = 64


def size(stem):
    """About the work of a config's backbone, without building it."""
    backbone = load(stem).model.backbone
    arch = MODELS.get(backbone.type.removeprefix('mamba_dense.')).ARCHS[backbone.arch]
    if hasattr(arch, 'dim'):
        return arch.dim * arch.depth
    return sum(dim * depth for dim, depth in zip(arch.dims, arch.depths, strict=True))


def smallest():
    """By family and head: the config of the least work."""
    found = {}
    for stem, path in COCO.items():
        found.setdefault(f'{path.parent.name}-{parts(stem)[1]}', []).append(stem)
    return {key: min(stems, key=size) for key, stems in found.items()}


def small(stem):
    """The config as it is, but for downloads and the number of boxes of a step."""
    model = Config(load(stem).to_dict()).model
    model.backbone.init_cfg = None
    if 'roi_head' in model:
        model.train_cfg.rpn_proposal.max_per_img = 32
        model.train_cfg.rcnn.sampler.num = 16
        model.test_cfg.rpn.max_per_img = 8
        model.test_cfg.rcnn.max_per_img = 4
    return model


def batch(masks):
    samples = []
    for left in (4, 12):
        boxes = torch.tensor([[left, 6.0, left + 40, 50.0], [left, 30.0, left + 16, 46.0]])
        instances = InstanceData(bboxes=boxes, labels=torch.tensor([3, 60]))
        if masks:
            found = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
            for mask, (x0, y0, x1, y1) in zip(found, boxes.int().tolist(), strict=True):
                mask[y0:y1, x0:x1] = 1
            instances.masks = BitmapMasks(found.numpy(), SIDE, SIDE)
        sample = DetDataSample(gt_instances=instances)
        shape = (SIDE, SIDE)
        sample.set_metainfo(
            {'img_shape': shape, 'ori_shape': shape, 'batch_input_shape': shape, 'pad_shape': shape}
        )
        sample.set_metainfo({'scale_factor': (1.0, 1.0)})
        samples.append(sample)
    return {'inputs': [torch.rand(3, SIDE, SIDE) * 255] * 2, 'data_samples': samples}


SMALLEST = smallest()


@pytest.mark.parametrize('stem', SMALLEST.values(), ids=SMALLEST.keys())
def test_a_step(stem):
    cfg = small(stem)
    model = MODELS.build(cfg).train()
    masks = 'roi_head' in cfg
    data = model.data_preprocessor(batch(masks), training=True)
    losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss)
    lacking = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not lacking
    model.eval()
    with torch.no_grad():
        found = model(**model.data_preprocessor(batch(masks)), mode='predict')
    assert len(found) == 2
    assert torch.isfinite(found[0].pred_instances.bboxes).all()
    assert ('masks' in found[0].pred_instances) == masks
