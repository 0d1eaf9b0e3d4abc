"""xLSTM-UNet's configs: networks of the sheet's sizes, heads that fit, the published recipe."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mamba_dense.medical.supervision import halving_weights
from mamba_dense.registry import METRICS, MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
FOLDER = CONFIGS / 'xlstm_unet'
NAMES = sorted(path.name for path in FOLDER.glob('*.py'))
# parts of the name -> millions of parameters as the sheet has them, Bot and Enc
MILLIONS = {
    'amos-mr-320x320': (47.46, 47.02),
    'amos-mr-48x160x224': (41.91, 43.73),
    'endovis17': (47.45, 47.66),
    'neurips-cell': (64.72, 64.01),
}


def load(name):
    cfg = Config.fromfile(FOLDER / name)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    return cfg


def parts(model):
    """Encoder, decoder, weights of its maps, classes."""
    head = getattr(model, 'decode_head', model)
    return model.backbone, head.decoder, head.supervision, head.num_classes


@pytest.mark.parametrize('name', NAMES)
def test_network(name):
    cfg = load(name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    encoder, decoder, supervision, classes = parts(model)
    maps = len(decoder.stages)
    assert supervision == pytest.approx(halving_weights(maps))
    patch = encoder.patch_size or cfg.model.get('patch_size') or (128, 128)
    x = torch.empty(2, encoder.in_channels, *patch, device='meta')
    assert [len(y.shape) for y in decoder(encoder(x))] == [2 + len(patch)] * maps
    count = sum(p.numel() for p in model.parameters()) / 1e6
    if '-nano' in name:
        assert count == pytest.approx(0.150 if encoder.spatial_dims == 2 else 0.372, abs=5e-4)
        return
    bot, enc = next(pair for part, pair in MILLIONS.items() if part in name)
    assert count == pytest.approx(enc if '-enc_' in name else bot, abs=0.00501)
    assert ('-enc_' in name) == (encoder.maps is not None)
    sides = [int(side) for side in name.rpartition('-')[2].removesuffix('.py').split('x')]
    assert list(patch) == sides
    metainfo = cfg.train_dataloader.dataset.get('metainfo', {})
    assert classes == len(metainfo.get('classes', range(14)))
    METRICS.build(cfg.val_evaluator)


@pytest.mark.parametrize('name', [name for name in NAMES if '-nano' not in name])
def test_recipe(name):
    cfg = load(name)
    optimizer = cfg.optim_wrapper.optimizer
    assert cfg.optim_wrapper.clip_grad == {'max_norm': 12}
    assert (optimizer.type, optimizer.lr, optimizer.momentum) == ('SGD', 5e-3, 0.99)
    assert optimizer.nesterov and optimizer.weight_decay == 3e-5
    (poly,) = cfg.param_scheduler
    loop = cfg.train_cfg
    batch = cfg.train_dataloader.batch_size
    if loop.type == 'EpochBasedTrainLoop':  # 250 batches an epoch
        assert poly.by_epoch and poly.end - 1 == loop.max_epochs == 4000
        assert cfg.train_dataloader.dataset.samples == 250 * batch
        assert f'1xb{batch}-4000e' in name
    else:
        assert not poly.by_epoch and poly.end - 1 == loop.max_iters == 4000 * 250
        assert f'1xb{batch}-1000k' in name
    assert poly.power == 0.9
    window = cfg.model.get('patch_size') or cfg.model.test_cfg.crop_size
    crops = [step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'RandomCrop']
    patch = cfg.train_dataloader.dataset.get('patch_size') or crops[0].crop_size
    assert list(patch) == list(window)
