"""Cost of networks: the authors' parameters exactly, their FLOPs within a percent."""

import pytest
import torch
from torch import nn

from mamba_dense.apis.analysis import analyze, measure
from mamba_dense.apis.models import list_models
from mamba_dense.apis.zoo_table import (
    CLASSIFIER_SIZE,
    DETECTOR_SIZE,
    PUBLISHED_GFLOPS,
    SEGMENTOR_SIZE,
)

pytest.importorskip('mmseg', reason='needs the extra seg')

# parameters that the released code builds
PARAMETERS = {
    'vanilla_tiny': 22_893_448,
    'vanilla_small': 44_417_416,
    'vanilla_base': 76_254_056,
    'tiny_s2l5': 30_705_832,
    'small_s2l15': 50_147_752,
    'base_s2l15': 88_557_800,
    'tiny_s1l8': 30_249_064,
    'small_s1l20': 49_012_840,
    'base_s1l20': 86_614_504,
    'mambaout-femto': 7_304_536,
    'mambaout-kobe': 9_141_208,
    'mambaout-tiny': 26_545_096,
    'mambaout-small': 48_488_072,
    'mambaout-base': 84_813_092,
    'vssd-micro': 13_512_964,
    'vssd-tiny': 24_270_724,
    'vssd-small': 40_075_650,
    'vssd-base': 88_823_151,
    'vssd-tiny-mesa': 24_270_724,
    'vssd-small-mesa': 40_075_650,
    'vssd-base-mesa': 88_823_151,
}


@pytest.mark.parametrize('name', list_models('classification'))
def test_classifiers(name):
    result = analyze(name, CLASSIFIER_SIZE)
    arch = name.removeprefix('vmamba-').removesuffix('_in1k-224x224')
    assert result.total.parameters == PARAMETERS[arch]
    # VSSD's authors count 4 to 5.3 % less for their classifiers; what they leave out is not known
    near = 0.055 if name.startswith('vssd-') else 0.01
    assert result.total.flops / 1e9 == pytest.approx(PUBLISHED_GFLOPS[name], rel=near)
    assert sum(part.parameters for part in result.parts) == result.total.parameters
    assert sum(part.flops for part in result.parts) == result.total.flops
    assert sum(part.scan_flops for part in result.parts) == result.total.scan_flops


@pytest.mark.parametrize('name', list_models('segmentation'))
def test_segmentors(name):
    total = analyze(name, SEGMENTOR_SIZE).total
    assert total.flops / 1e9 == pytest.approx(PUBLISHED_GFLOPS[name], rel=0.01)
    if 'vanilla_tiny' in name:
        assert total.parameters == 54_546_956


@pytest.mark.parametrize('name', [n for n in list_models('detection') if '-1x_' in n])
def test_detectors(name):
    pytest.importorskip('mmdet', reason='needs the extra det')
    result = analyze(name, DETECTOR_SIZE)
    # the sum of its parts, against the 384 that the authors print: see the sheet's section 6
    expected = 349 if 'small_s2l15' in name else PUBLISHED_GFLOPS[name]
    if name.startswith('vssd-'):  # as of its classifiers, theirs count up to 3 % less
        assert result.total.flops / 1e9 == pytest.approx(expected, rel=0.03)
    else:
        assert round(result.total.flops / 1e9) == expected
    assert [part.name for part in result.parts[-3:]] == ['neck', 'rpn_head', 'roi_head']
    assert sum(part.parameters for part in result.parts) == result.total.parameters
    assert sum(part.flops for part in result.parts) == result.total.flops


def test_a_cascade_counts_every_stage():
    mmdet = pytest.importorskip('mmdet.models', reason='needs the extra det')
    from mamba_dense.apis.detector_pass import MASKS, PROPOSALS, DetectorPass

    cutter = mmdet.SingleRoIExtractor(
        {'type': 'RoIAlign', 'output_size': 7}, out_channels=2, featmap_strides=[4]
    )
    head = nn.Sequential(nn.Flatten(), nn.Linear(98, 3))
    model = nn.Module()
    model.backbone, model.bbox_head = nn.Conv2d(1, 2, 1), None
    model.rpn_head, model.roi_head = nn.Conv2d(2, 1, 1), nn.Module()
    model.roi_head.bbox_head = nn.ModuleList([head, nn.Sequential(nn.Flatten(), nn.Linear(98, 5))])
    model.roi_head.bbox_roi_extractor = nn.ModuleList([cutter, cutter])
    model.roi_head.mask_head = nn.Sequential(nn.Flatten(), nn.Linear(98, 7))
    model.roi_head.mask_roi_extractor = cutter
    result = measure(DetectorPass(model).to('meta').eval(), (1, 4, 4))
    assert result.parts[-1].flops == PROPOSALS * 98 * (3 + 5) + MASKS * 98 * 7


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.batch = nn.BatchNorm2d(8)
        self.group = nn.GroupNorm(2, 8)
        self.layer = nn.LayerNorm(8)
        self.linear = nn.Linear(8, 4)
        self.pool = nn.AdaptiveAvgPool2d(2)

    def forward(self, x):
        x = self.group(self.batch(self.conv(x)))
        x = nn.functional.interpolate(x, scale_factor=2, mode='bilinear')
        pooled = self.pool(x)
        return self.linear(self.layer(x.permute(0, 2, 3, 1))), pooled


def test_convention():
    result = measure(Small().to('meta').eval(), (3, 8, 8))
    counts = {part.name: part.flops for part in result.parts}
    pixels, doubled = 64, 256
    assert counts == {
        'conv': pixels * 8 * 27,
        'batch': pixels * 8 * 2,
        'group': pixels * 8 * 5,
        'layer': doubled * 8 * 5,
        'linear': doubled * 8 * 4,
    }
    assert result.total.flops == sum(counts.values()) + doubled * 8 * 4 + doubled * 8
    assert result.total.scan_flops == 0


def test_activation_memory():
    """A linear after a relu: the input, and the relu's result that both keep, once."""
    network = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).to('meta')
    result = measure(network, (5, 7, 16))
    tokens = 5 * 7
    assert result.total.activation_bytes == 4 * tokens * (16 + 32)


def test_nano_on_the_demo_size():
    result = analyze('vmamba-nano_upernet_nuclei-128x128')
    assert result.shape == (3, 128, 128)
    assert result.total.parameters == sum(part.parameters for part in result.parts)
    assert 0 < result.total.scan_flops < result.total.flops


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match='must be positive'):
        analyze('vmamba-tiny_s1l8_in1k-224x224', (0, 224))
    (tmp_path / 'c.py').write_text('a = 1\n')
    with pytest.raises(ValueError, match='has no `model`'):
        analyze(tmp_path / 'c.py')
    assert torch.get_default_device().type == 'cpu'
