"""A decoder, and a whole network, as mmseg's decode head."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

from mamba_dense.registry import MODELS

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mmseg.structures import SegDataSample

UNET = dict(
    type='monai.networks.nets.UNet',
    spatial_dims=2,
    in_channels=3,
    out_channels=2,
    channels=(4, 8),
    strides=(2,),
)
HEAD = dict(
    type='mamba_dense.DecoderHead',
    in_channels=2,
    num_classes=2,
    loss_decode=dict(type='mamba_dense.CeDiceLoss'),
)


class TwoMaps(torch.nn.Module):
    """A decoder that gives its first map whole and shrunk."""

    def forward(self, features):
        return features[0], features[1]


def build(**head):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(
            dict(
                type='mmseg.EncoderDecoder',
                data_preprocessor=dict(type='SegDataPreProcessor', size_divisor=4),
                backbone=UNET,
                decode_head=HEAD | head,
                train_cfg=dict(),
                test_cfg=ConfigDict(mode='whole'),
            )
        )


def batch(height=16, width=12):
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(2, (1, height, width))))
    sample.set_metainfo({'ori_shape': (2 * height, width), 'img_shape': (height, width)})
    return {'inputs': [torch.rand(3, height, width)] * 2, 'data_samples': [sample] * 2}


def test_a_whole_network_trains_and_predicts():
    model = build()
    losses = model(**model.data_preprocessor(batch(), training=True), mode='loss')
    assert set(losses) == {'decode.loss_pixel_dice'}
    losses['decode.loss_pixel_dice'].backward()
    assert all(p.grad is not None for p in model.parameters())
    with torch.no_grad():
        found = model.eval().test_step(batch())
    assert found[0].pred_sem_seg.data.shape == (1, 32, 12)


def test_supervision_weighs_the_maps():
    model = build(in_channels=[2, 2], supervision=(0.5, 0.5))
    head = model.decode_head
    head.decoder = TwoMaps()
    label = torch.randint(2, (1, 8, 8))
    sample = SegDataSample(gt_sem_seg=PixelData(data=label))
    full, half = torch.randn(1, 2, 8, 8), torch.randn(1, 2, 4, 4)
    found = head.loss([full, half], [sample], {})['loss_pixel_dice']
    apart = [head.loss_decode(full, label), head.loss_decode(half, label[:, ::2, ::2])]
    torch.testing.assert_close(found, sum(apart) / 2)
    whole = head.predict([full, half], [{'img_shape': (8, 8)}], {})
    torch.testing.assert_close(whole, full)


def test_a_network_of_other_classes_is_refused():
    model = build(num_classes=3)
    with pytest.raises(ValueError, match='2 channels of logits.*out_channels=3'):
        model.decode_head.forward(torch.zeros(1, 2, 4, 4))
