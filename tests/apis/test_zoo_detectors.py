"""Published detectors by name: their configs, and the authors' files, strictly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip('mmdet', reason='needs the extra det')

from mamba_dense.apis import infer, init_model, list_models
from mamba_dense.apis.models import find_model
from mamba_dense.weights import zoo
from tests.weights import authors

NAME = 'vmamba-tiny_s1l8_mask-rcnn-1x_coco'
NANO = 'vmamba-nano_mask-rcnn_nuclei'


@pytest.mark.parametrize('name', list_models('detection'))
def test_every_published_detector_has_its_config(name):
    source, record = find_model(name), zoo.get(name)
    assert source.weights == record.url
    assert source.cfg.model.backbone.arch == record.arch
    assert source.cfg.model.roi_head.bbox_head.num_classes == 80
    assert source.cfg.train_cfg.max_epochs == (36 if '-3x_' in name else 12)


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    """A file as mmdet saves it, the backbone under the authors' names; and the heads' tensors."""
    torch.manual_seed(0)
    model = init_model(NANO, device='cpu')
    model.init_weights()
    heads = {k: v for k, v in model.state_dict().items() if not k.startswith('backbone.')}
    backbone = authors.backbone(model.backbone.arch)
    state = {f'backbone.{key}': value for key, value in backbone.items()} | heads
    path = tmp_path_factory.mktemp('published') / 'mask_rcnn.pth'
    torch.save({'meta': {'epoch': 12}, 'state_dict': state, 'optimizer': {}}, path)
    return path, heads


@pytest.fixture
def small_zoo(monkeypatch, published):
    """The zoo with the nano network's file behind a published name."""
    record = replace(
        zoo.get(NAME), arch='nano', num_classes=1, schedule='', url=published[0].as_uri()
    )
    monkeypatch.setitem(zoo.WEIGHTS, NAME, record)


@pytest.mark.usefixtures('small_zoo')
def test_a_name_loads_the_published_file(published):
    model = init_model(NAME, device='cpu')
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in published[1].items())
    source = authors.backbone(model.backbone.arch)
    assert torch.equal(state['backbone.stem.conv.weight'], source['patch_embed.0.weight'])
    assert torch.equal(state['backbone.out_norms.3.bias'], source['outnorm3.bias'])
    image = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    assert infer(model, image).masks.shape[1:] == (64, 80)


@pytest.mark.parametrize('change', ['lost', 'foreign', 'misshapen'])
def test_a_file_that_does_not_fit_is_refused(published, tmp_path, change):
    content = torch.load(published[0], weights_only=True)
    state = content['state_dict']
    key = 'roi_head.mask_head.convs.0.conv.weight'
    tensor = state.pop(key)
    if change == 'misshapen':
        state[key] = tensor[:-1]
    elif change == 'foreign':
        state |= {key: tensor, 'roi_head.mask_iou_head.fcs.0.weight': tensor}
    torch.save(content, tmp_path / 'w.pth')
    with pytest.raises(ValueError, match='does not fit MaskRCNN') as caught:
        init_model(NANO, (tmp_path / 'w.pth').as_uri(), 'cpu')
    assert ('mask_iou_head' if change == 'foreign' else key) in str(caught.value)


def test_a_backbone_of_another_variant_is_refused(published, tmp_path):
    content = torch.load(published[0], weights_only=True)
    del content['state_dict']['backbone.layers.3.blocks.0.norm.weight']
    torch.save(content, tmp_path / 'w.pth')
    with pytest.raises(ValueError, match=r'stages\.3\.blocks\.0\.norm'):
        init_model(NANO, tmp_path / 'w.pth', 'cpu')
