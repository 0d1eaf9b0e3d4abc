"""Every detector on the bundled pictures trains a step and predicts."""

import pytest
import torch

pytest.importorskip('mmdet', reason='needs the extra det')

from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from mamba_dense.registry import MODELS
from tests.configs.test_configs import CONFIGS, build, load

SMALL = [
    name
    for name in CONFIGS
    if name.endswith(('_nuclei.py', '_trees.py')) and load(name).get('default_scope') == 'mmdet'
]
SIDE = 96


def sample(masks):
    found = InstanceData()
    found.bboxes = torch.tensor([[10.0, 12.0, 40.0, 50.0], [50.0, 50.0, 80.0, 76.0]])
    found.labels = torch.zeros(2, dtype=torch.long)
    if masks:
        shapes = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
        shapes[0, 12:50, 10:40] = shapes[1, 50:76, 50:80] = 1
        found.masks = BitmapMasks(shapes.numpy(), SIDE, SIDE)
    shape = (SIDE, SIDE)
    sample = DetDataSample(
        metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)), gt_instances=found
    )
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0))
    return sample


def test_there_are_some():
    assert len(SMALL) >= 5


@pytest.mark.parametrize('name', SMALL)
def test_builds_with_its_classes(name):
    cfg = load(name)
    model = build(name)
    if hasattr(model.backbone, 'out_channels'):
        assert tuple(cfg.model.neck.in_channels) == tuple(model.backbone.out_channels)
    classes = cfg.train_dataloader.dataset.metainfo.classes
    heads = [head for head in model.modules() if hasattr(head, 'num_classes')]
    heads = [head for head in heads if type(head).__name__ != 'RPNHead']
    assert {head.num_classes for head in heads} == {len(classes)}


@pytest.mark.parametrize('name', SMALL)
def test_small_config_trains_a_step(name):
    cfg = load(name)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    data = {
        'inputs': [torch.randint(256, (3, SIDE, SIDE)).float()] * 2,
        'data_samples': [sample(model.with_mask), sample(model.with_mask)],
    }
    losses = model(**model.data_preprocessor(data, training=True), mode='loss')
    parts = [part for name, value in losses.items() if 'loss' in name for part in as_list(value)]
    loss = sum(parts)
    loss.backward()
    assert torch.isfinite(loss)
    lacking = [n for n, p in model.named_parameters() if p.grad is None and p.requires_grad]
    assert not lacking
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    # the numbers that a distribution over distances is weighed by: fixed, and in the authors' files
    assert frozen <= {'bbox_head.distances.project'}
    model.eval()
    picture = {'inputs': [torch.zeros(3, 50, 70)], 'data_samples': [sample(masks=False)]}
    picture['data_samples'][0].set_metainfo(dict(img_shape=(50, 70), ori_shape=(50, 70)))
    with torch.no_grad():
        (found,) = model.test_step(picture)
    assert found.pred_instances.bboxes.shape[1] == 4


def as_list(value):
    return value if isinstance(value, list) else [value]
