"""Maps reach mmcv's RoIAlign in the one memory format that it reads rightly."""

import pytest
import torch

pytest.importorskip('mmdet', reason='needs the extra det')

from mmcv.ops import RoIAlign

from mamba_dense.backbones import VMamba
from mamba_dense.bricks import SimpleFeaturePyramid

ROIS = torch.tensor([[0.0, 3.0, 2.0, 50.0, 15.0], [1.0, 10.0, 1.0, 33.0, 60.0]])


def maps(name):
    torch.manual_seed(0)
    if name == 'backbone':
        return VMamba('nano').eval()(torch.rand(2, 3, 64, 96))[:2]
    plain = torch.rand(2, 8, 12, 5).permute(0, 3, 2, 1)  # channels_last, as from a backbone
    return SimpleFeaturePyramid(5, 16, scales=(4, 2, 1), num_outs=4)(plain)


@pytest.mark.parametrize('name', ['backbone', 'pyramid'])
@torch.no_grad()
def test_boxes_see_their_own_pixels(name):
    for y in maps(name):
        assert y.is_contiguous()
        scale = y.shape[3] / 96
        known = torch.empty(y.shape).copy_(y)
        pool = RoIAlign(7, scale, sampling_ratio=0)
        assert torch.equal(pool(y, ROIS), pool(known, ROIS))
