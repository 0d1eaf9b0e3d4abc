"""LightM-UNet: counts of the released code, any size, files of its authors into whole networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.backbones import LightMEncoder
from mamba_dense.medical import LightMDecoder
from mamba_dense.reference.record import read_record, sample
from mamba_dense.registry import MODELS
from mamba_dense.weights import load_model_weights

GOLDEN = Path(__file__).resolve().parents[1] / 'golden' / 'lightm_unet'
WIDTHS = {'base': (32, 64, 128, 256), 'nano': (8, 16, 32, 64)}


def parts(arch, spatial_dims, in_channels, num_classes):
    backbone = dict(
        type='mamba_dense.LightMEncoder',
        arch=arch,
        spatial_dims=spatial_dims,
        in_channels=in_channels,
    )
    decoder = dict(
        type='mamba_dense.LightMDecoder',
        in_channels=WIDTHS[arch],
        num_classes=num_classes,
        spatial_dims=spatial_dims,
    )
    return backbone, decoder


def images(arch):
    """mmseg's EncoderDecoder, 3 channels to 2 classes."""
    init_default_scope('mmseg')
    backbone, decoder = parts(arch, 2, 3, 2)
    head = dict(
        type='mamba_dense.DecoderHead',
        decoder=decoder,
        in_channels=WIDTHS[arch],
        num_classes=2,
        loss_decode=dict(type='mamba_dense.NnUNetLoss'),
    )
    return MODELS.build(dict(type='EncoderDecoder', backbone=backbone, decode_head=head))


def volumes(arch):
    """VolumeSegmentor, 1 channel to 3 classes."""
    init_default_scope('mamba_dense')
    backbone, decoder = parts(arch, 3, 1, 3)
    return MODELS.build(
        dict(
            type='mamba_dense.VolumeSegmentor',
            backbone=backbone,
            decoder=decoder,
            num_classes=3,
            loss=dict(type='mamba_dense.NnUNetLoss'),
            patch_size=(16, 16, 16),
        )
    )


WHOLE = {'2d': images, '3d': volumes}


@pytest.mark.parametrize(('rank', 'count'), [('2d', 5_011_765), ('3d', 5_015_766)])
def test_parameters_equal_the_released_code(rank, count):
    with torch.device('meta'):
        model = WHOLE[rank]('base')
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize('size', [(16, 24), (33, 47), (5, 2), (8, 9, 7), (2, 2, 2)], ids=str)
def test_logits_have_the_size_of_what_came(size):
    encoder = LightMEncoder('nano', spatial_dims=len(size), in_channels=1).eval()
    decoder = LightMDecoder(encoder.out_channels, 4, spatial_dims=len(size)).eval()
    with torch.no_grad():
        maps = decoder(encoder(torch.randn(2, 1, *size)))
    assert [tuple(y.shape) for y in maps] == [(2, 4, *size)]
    assert torch.isfinite(maps[0]).all()


@pytest.mark.parametrize('axes', [2, 3])
def test_every_parameter_learns(axes):
    encoder = LightMEncoder('nano', spatial_dims=axes, in_channels=1)
    decoder = LightMDecoder(encoder.out_channels, 3, spatial_dims=axes, depths=(1, 2, 1))
    (logits,) = decoder(encoder(torch.randn(2, 1, *(16, 8, 24)[:axes])))
    label = torch.randint(3, logits[:, 0].shape)
    MODELS.build(dict(type='mamba_dense.NnUNetLoss'))(logits, label).backward()
    for part in (encoder, decoder):
        lacking = [n for n, p in part.named_parameters() if p.grad is None or not p.grad.any()]
        assert not lacking


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(in_channels=(8, 12)), 'multiples of 8'),
        (dict(in_channels=(8, 16, 32), depths=(1,)), 'one entry fewer'),
        (dict(in_channels=(8, 16), spatial_dims=4), 'spatial_dims=4'),
    ],
    ids=['widths', 'depths', 'axes'],
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        LightMDecoder(num_classes=2, **options)


def file_of_the_authors(record, path, hull='module.'):
    """A checkpoint as nnU-Net's trainer writes it, from a data-parallel network."""
    weights = {hull + name: value.float() for name, value in record.weights().items()}
    content = dict(
        network_weights=weights,
        optimizer_state=dict(state={}, param_groups=[dict(lr=1e-4, params=[0])]),
        grad_scaler_state=None,
        logging=dict(mean_fg_dice=[np.float64(0.9)], train_losses=[np.float32(-0.5)]),
        _best_ema=np.float64(0.91),
        current_epoch=100,
        init_args=dict(fold='all', plans=dict(sides=[1, 2]), device=torch.device('cuda', 0)),
        trainer_name='nnUNetTrainer',
        inference_allowed_mirroring_axes=(0, 1),
    )
    torch.save(content, path)
    return path


@pytest.mark.parametrize('rank', ['2d', '3d'])
def test_a_file_of_the_authors_fills_a_whole_network(rank, tmp_path):
    """Read without trust; the loaded network gives the recorded logits."""
    record = read_record(GOLDEN / f'lightm_unet_{rank}.json')
    model = WHOLE[rank]('base').eval()
    report = load_model_weights(model, file_of_the_authors(record, tmp_path / 'final.pth'))
    assert set(report.loaded) == set(model.state_dict())
    assert not report.dropped
    (image,) = record.inputs()
    with torch.no_grad():
        logits = model(image.float())
    logits = logits if isinstance(logits, torch.Tensor) else logits[0]
    row = next(row for row in record.output_rows if row['name'] == 'out')
    golden = torch.from_numpy(record.array('out')).float()
    found = torch.from_numpy(sample(row, logits.numpy().ravel()))
    torch.testing.assert_close(found, golden.ravel(), rtol=0, atol=1e-4 * row['absmax'])


def test_a_file_of_the_authors_fills_the_encoder_alone(tmp_path):
    record = read_record(GOLDEN / 'lightm_unet_2d.json')
    path = file_of_the_authors(record, tmp_path / 'final.pth', hull='')
    model = LightMEncoder(
        'base', out_indices=(0, 1), init_cfg=dict(type='Pretrained', checkpoint=str(path))
    )
    model.init_weights()
    expected = record.weights()['down_layers.1.0.0.mamba.A_log'].float()
    assert torch.equal(model.stages[0].downsample.layer.mixer.branch.A_log, expected)


def test_files_of_ours_and_of_another_network(tmp_path):
    source, target = images('nano'), images('nano')
    torch.save(source.state_dict(), tmp_path / 'ours.pth')
    load_model_weights(target, tmp_path / 'ours.pth')
    assert all(
        torch.equal(value, source.state_dict()[n]) for n, value in target.state_dict().items()
    )
    torch.save({'stem.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='file of another network'):
        load_model_weights(target, tmp_path / 'other.pth')
    record = read_record(GOLDEN / 'lightm_unet_2d.json')
    broken = record.weights()
    broken.pop('conv_final.2.1.conv.bias')
    torch.save(broken, tmp_path / 'short.pth')
    with pytest.raises(ValueError, match=r'classify\.pointwise\.bias'):
        load_model_weights(images('base'), tmp_path / 'short.pth')
