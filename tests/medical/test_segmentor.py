"""VolumeSegmentor: losses, windows, mirrored views, slices, checkpoints."""

import pytest
import torch
from torch import nn

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.segmentor import VolumeSegmentor
from mamba_dense.registry import MODELS
from mamba_dense.weights import load_model_weights

UNET = dict(
    type='monai.networks.nets.UNet',
    spatial_dims=3,
    in_channels=1,
    out_channels=3,
    channels=(4, 8),
    strides=(2,),
)


@MODELS.register_module()
class Pointwise(nn.Module):
    """Logits of each voxel by itself, so that windows cannot change them."""

    def __init__(self, rank=3, maps=1, classes=3):
        super().__init__()
        kind = nn.Conv3d if rank == 3 else nn.Conv2d
        self.conv = kind(1, classes, 1)
        self.pool = nn.AvgPool3d(2) if rank == 3 else nn.AvgPool2d(2)
        self.maps, self.seen = maps, []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        out = [self.conv(x)]
        while len(out) < self.maps:
            out.append(self.pool(out[-1]))
        return tuple(out)


def segmentor(backbone=None, **options):
    options = {
        'num_classes': 3,
        'loss': dict(type='mamba_dense.NnUNetLoss'),
        'patch_size': (8, 8, 8),
        **options,
    }
    return VolumeSegmentor(backbone or dict(type='mamba_dense.Pointwise'), **options)


def batch(size=(8, 8, 8)):
    return {
        'image': torch.rand(2, 1, *size),
        'label': torch.randint(3, (2, 1, *size)),
        'case': ['a', 'b'],
    }


def test_it_learns_in_a_few_steps():
    model = segmentor(UNET)
    data = batch()
    data['image'] = data['label'] / 2
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    values = []
    for _ in range(25):
        losses = model(**data, mode='loss')
        values.append(losses['loss_nnunet'])
        optimizer.zero_grad()
        values[-1].backward()
        optimizer.step()
    assert values[-1] < values[0] - 0.5


def test_loss_is_single_precision_under_autocast():
    model = segmentor(UNET)
    with torch.autocast('cpu', torch.bfloat16):
        assert model(batch()['image'])[0].dtype == torch.bfloat16
        losses = model(**batch(), mode='loss')
    assert losses['loss_nnunet'].dtype == torch.float32
    losses['loss_nnunet'].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_deep_supervision_weighs_the_maps():
    data = batch()
    model = segmentor(dict(type='mamba_dense.Pointwise', maps=2), supervision=(1.0, 0.0))
    whole = model(**data, mode='loss')['loss_nnunet']
    model.supervision = (0.25, 0.75)
    both = model(**data, mode='loss')['loss_nnunet']
    model.supervision = (0.0, 1.0)
    coarse = model(**data, mode='loss')['loss_nnunet']
    torch.testing.assert_close(both, 0.25 * whole + 0.75 * coarse)
    model.supervision = (1.0,)
    with pytest.raises(ValueError, match='gives 2 map'):
        model(**data, mode='loss')


@pytest.mark.parametrize('size', [(8, 8, 8), (19, 9, 8), (5, 21, 3), (1, 30, 30)], ids=str)
def test_windows_change_nothing_of_a_pointwise_network(size):
    """Whole volumes, not multiples of the window, smaller than it, one voxel thick."""
    model = segmentor(window_batch=3)
    image = torch.randn(1, *size)
    scores = model.predict_scores(image)
    assert scores.dtype == torch.float32 and scores.device.type == 'cpu'
    with torch.no_grad():
        expected = model.backbone.conv(image[None])[0]
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-4)
    assert {shape[2:] for shape in model.backbone.seen} == {(8, 8, 8)}
    assert max(shape[0] for shape in model.backbone.seen) <= 3


def test_windows_are_blended_by_a_gaussian():
    """Two windows that disagree: the middle of each has its own say."""
    model = segmentor(overlap=0.5)
    model.backbone.forward = lambda x: x.mean(dim=(2, 3, 4), keepdim=True).expand(-1, 3, 8, 8, 8)
    image = torch.zeros(1, 12, 8, 8)
    image[:, 8:] = 1  # the first window sees 0, the second 0.5
    line = model.predict_scores(image)[0, :, 4, 4]
    assert line[0] == 0 and line[-1] == 0.5
    assert (line.diff() >= 0).all() and 0 < line[4] < line[7] < 0.5


def test_slices_of_a_network_in_two_dimensions():
    model = segmentor(dict(type='mamba_dense.Pointwise', rank=2), patch_size=(8, 6))
    image = torch.randn(1, 3, 11, 6)
    scores = model.predict_scores(image)
    assert {shape[2:] for shape in model.backbone.seen} == {(8, 6)}
    with torch.no_grad():
        expected = model.backbone.conv(image.transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-4)
    flat = batch((1, 8, 6))
    assert model(flat['image'])[0].shape == (2, 3, 8, 6)
    assert torch.isfinite(model(**flat, mode='loss')['loss_nnunet'])


def test_mirrored_views_are_averaged():
    model = segmentor(UNET, mirror_axes=(0, 2)).eval()
    image = torch.randn(1, 8, 8, 8)
    found = model([image], case=['x'], mode='predict')
    assert found[0]['case'] == 'x'
    with torch.no_grad():
        views = [
            model.backbone(image[None].flip(turn)).flip(turn) for turn in ((), (2,), (4,), (2, 4))
        ]
    torch.testing.assert_close(found[0]['scores'], sum(views)[0] / 4, atol=1e-5, rtol=1e-4)
    alone = model.predict_scores(image)
    torch.testing.assert_close(alone, views[0][0], atol=1e-5, rtol=1e-4)


def test_prediction_leaves_the_mode_of_training():
    model = segmentor(UNET).train()
    model.predict_scores(torch.rand(1, 8, 8, 8))
    assert model.training


def test_checkpoint_goes_round(tmp_path):
    torch.manual_seed(1)
    first = segmentor(UNET)
    torch.save({'state_dict': first.state_dict()}, tmp_path / 'a.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    second = segmentor(UNET, init_cfg=pretrained)
    second.init_weights()
    third = segmentor(UNET)
    report = load_model_weights(third, tmp_path / 'a.pth')
    assert len(report.loaded) == len(first.state_dict())
    for other in (second, third):
        for name, tensor in first.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name
    wider = segmentor({**UNET, 'channels': (8, 8)})
    with pytest.raises(ValueError, match='does not fit VolumeSegmentor'):
        load_model_weights(wider, tmp_path / 'a.pth')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'patch_size': (8,)}, 'two sides'),
        ({'patch_size': (8, 0, 8)}, 'at least 1'),
        ({'overlap': 1.0}, 'overlap=1.0'),
        ({'mirror_axes': (3,)}, 'mirror_axes'),
    ],
    ids=['rank', 'side', 'overlap', 'mirror'],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        segmentor(**options)


def test_refusals_of_calls():
    model = segmentor(num_classes=4)
    with pytest.raises(ValueError, match=r'gives 3 channels.*num_classes=4'):
        model(torch.rand(1, 1, 8, 8, 8))
    model = segmentor()
    with pytest.raises(ValueError, match='needs label'):
        model(torch.rand(1, 1, 8, 8, 8), mode='loss')
    with pytest.raises(ValueError, match='known: tensor, loss, predict'):
        model(torch.rand(1, 1, 8, 8, 8), mode='fit')
    with pytest.raises(ValueError, match='must be'):
        model.predict_scores(torch.rand(8, 8, 8))
