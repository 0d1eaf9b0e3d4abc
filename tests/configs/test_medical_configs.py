"""VM-UNet's, MHS-UNet's and MONAI's configs: published counts and recipes; a step learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from PIL import Image

from mamba_dense.registry import DATASETS, METRICS, MODELS, TRANSFORMS

pytest.importorskip('mmseg', reason='needs the extra medical')
pytest.importorskip('monai', reason='needs the extra medical')

from mmseg.structures import SegDataSample

from mamba_dense.segmentation.guard import guard

ROOT = Path(__file__).resolve().parents[2] / 'configs'
CONFIGS = sorted([*(ROOT / 'vm_unet').glob('*.py'), *(ROOT / 'mhs_vm').glob('*.py')])
MONAI = sorted((ROOT / 'monai_unet').glob('monai-unet-*m_*.py'))
ISIC = [path for path in CONFIGS if '_isic' in path.stem]
SYNAPSE = [path for path in CONFIGS if '_synapse' in path.stem]
SMALL = [path for path in CONFIGS if '-nano_' in path.stem] + MONAI
# the network beside which each of MONAI's stands
TWINS = {
    '2m': 'vm_unet/vm-unet-nano',
    '1m': 'mhs_vm/mhs-unet-nano',
    '0.15m': 'xlstm_unet/xlstm-unet-bot-nano',
    '0.1m': 'lightm_unet/lightm-unet-nano',
}


def load(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.mark.parametrize('path', ISIC, ids=lambda path: path.stem)
def test_isic(path):
    """Counts of the released code, and its recipe."""
    cfg = load(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    expected = 27_427_561 if path.parent.name == 'vm_unet' else 17_257_129
    assert sum(p.numel() for p in model.parameters()) == expected
    optimizer, schedule = cfg.optim_wrapper.optimizer, cfg.param_scheduler[0]
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-3, 1e-2)
    assert (schedule.T_max, schedule.eta_min, cfg.train_cfg.max_epochs) == (50, 1e-5, 300)
    assert cfg.train_dataloader.batch_size == 32
    assert cfg.model.decode_head.loss_decode.type == 'mamba_dense.BceDiceLoss'
    assert cfg.train_dataloader.dataset.data_root.endswith(path.stem.split('_')[-1][:6])
    if path.parent.name == 'mhs_vm':
        threshold = 0.5 if 'isic18' in path.stem else 0.0
        heads = [m.threshold for m in model.modules() if type(m).__name__ == 'ScanHead']
        assert set(heads) == {threshold}


@pytest.mark.parametrize('path', SYNAPSE, ids=lambda path: path.stem)
def test_synapse(path):
    """The published count of parameters and recipe."""
    cfg = load(path)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    ours = path.parent.name == 'vm_unet'
    expected = 27_427_761 if ours else 17_257_329
    assert sum(p.numel() for p in model.parameters()) == expected
    schedule, loop = cfg.param_scheduler[0], cfg.train_cfg
    assert (loop.max_epochs, loop.val_interval) == ((300, 100) if ours else (320, 50))
    assert (schedule.T_max, schedule.end, schedule.eta_min) == (100, loop.max_epochs, 1e-5)
    assert cfg.train_dataloader.batch_size == 32
    assert cfg.model.decode_head.loss_decode.type == 'mamba_dense.CeDiceLoss'


def test_synapse_from_slices_to_cases(tmp_path):
    """The config's pipelines and metric on slices as the converter writes them."""
    cfg = load(SYNAPSE[0])
    for part, kind in (('img_dir', np.uint16), ('ann_dir', np.uint8)):
        for subset in ('train', 'val'):
            (tmp_path / part / subset).mkdir(parents=True)
            for n in range(2):
                pixels = np.random.randint(0, 9, (48, 56)).astype(kind)
                name = tmp_path / part / subset / f'case0001_slice{n:03d}.png'
                Image.fromarray(pixels * (7000 if part == 'img_dir' else 1)).save(name)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = str(tmp_path)
    guard(cfg)
    train = DATASETS.build(cfg.train_dataloader.dataset)[0]
    assert train['inputs'].shape == (3, 224, 224)
    assert train['inputs'].dtype == torch.float32
    assert -0.3 < train['inputs'].min() <= train['inputs'].max() < 1.3  # splines overshoot
    assert train['data_samples'].gt_sem_seg.shape == (224, 224)
    tested = DATASETS.build(cfg.val_dataloader.dataset)
    metric = METRICS.build(cfg.val_evaluator)
    metric.dataset_meta = tested.metainfo
    for n in range(2):
        sample = tested[n]['data_samples']
        assert sample.ori_shape == (224, 224)
        truth = sample.gt_sem_seg.data
        assert truth.shape == (1, 48, 56)
        zoomed = torch.nn.functional.interpolate(truth[None].float(), (224, 224))[0]
        sample.pred_sem_seg = PixelData(data=zoomed.long())
        metric.process({}, [sample.to_dict()])
    found = metric.evaluate(2)
    assert found['DSC'] > 90
    assert 'HD95.left kidney' in found


@pytest.mark.parametrize('path', SMALL, ids=lambda path: path.stem)
def test_small_config_trains_a_step(path):
    cfg = load(path)
    classes = cfg.model.decode_head.num_classes
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(classes, (1, 64, 64))))
    sample.set_metainfo({'ori_shape': (64, 64), 'img_shape': (64, 64)})
    data = {'inputs': [torch.rand(3, 64, 64) * 255] * 2, 'data_samples': [sample] * 2}
    losses = model(**model.data_preprocessor(data, training=True), mode='loss')
    (loss,) = (value for key, value in losses.items() if key.startswith('decode.loss_'))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    with torch.no_grad():
        found = model.eval().test_step(
            {'inputs': [torch.rand(3, 50, 70)], 'data_samples': [sample]}
        )
    assert set(found[0].pred_sem_seg.data.unique().tolist()) <= {*range(classes)}


@pytest.mark.parametrize('path', MONAI, ids=lambda path: path.stem)
def test_equal_terms(path):
    """MONAI's network has its twin's parameters within 5 %, its data, schedule and seed."""
    size, data = path.stem.removeprefix('monai-unet-').split('_', 1)
    ours, theirs = load(ROOT / f'{TWINS[size]}_{data}.py'), load(path)
    with torch.device('meta'):
        counts = [
            sum(p.numel() for p in MODELS.build(c.model).parameters()) for c in (ours, theirs)
        ]
    assert abs(counts[1] / counts[0] - 1) < 0.05
    for key in ('train_dataloader', 'val_dataloader', 'optim_wrapper', 'param_scheduler'):
        assert ours[key] == theirs[key]
    assert (ours.train_cfg, ours.randomness) == (theirs.train_cfg, theirs.randomness)
    for part in ('data_preprocessor', 'test_cfg'):
        assert ours.model[part] == theirs.model[part]
    kinds = [c.model.decode_head.loss_decode.type for c in (ours, theirs)]
    assert kinds[0] == kinds[1]


def test_intensities_are_stretched_over_all_channels():
    stretch = TRANSFORMS.build(dict(type='mamba_dense.MinMaxIntensity'))
    image = np.array([[[10, 20, 30]], [[40, 50, 60]]], np.uint8)
    found = stretch({'img': image})['img']
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.ravel(), [0, 51, 102, 153, 204, 255], rtol=1e-6)
    assert not stretch({'img': np.full((2, 2, 3), 7, np.uint8)})['img'].any()
