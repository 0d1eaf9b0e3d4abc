"""ChangeMamba's configs: published sizes and recipes, and that the small ones train."""

import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra change')

from mmengine.runner import Runner

from mamba_dense.engine.train import run, settle
from mamba_dense.registry import DATASETS
from mamba_dense.weights.zoo import FOLDERS
from tests.configs.test_configs import CONFIGS, build, load

CHANGE = [name for name in CONFIGS if name.startswith('changemamba/')]
SCENES = [name for name in CHANGE if '_scenes-' in name]
PAPER = [name for name in CHANGE if name not in SCENES]
TASKS = {'bcd': 'MambaBCD', 'scd': 'MambaSCD', 'bda': 'MambaBDA'}


def parts(name):
    """Size, task and data that a config's name says."""
    size, task, *_, data = name.split('changemamba-')[-1].removesuffix('.py').split('_')
    return size, task, data.removesuffix('-256x256')


def test_every_published_result_has_its_config():
    published = {name for name in FOLDERS if name.startswith('changemamba-')}
    found = {'changemamba-{}_{}_{}-256x256'.format(*parts(name)) for name in PAPER}
    assert len(published) == 15 and published < found
    assert {parts(name)[:2] for name in PAPER} == {
        (size, task) for size in ('mini', 'tiny', 'small', 'base') for task in TASKS
    }


@pytest.mark.parametrize('name', PAPER)
def test_parameters(name):
    size, task, data = parts(name)
    model = build(name)
    assert type(model).__name__ == TASKS[task]
    count = sum(p.numel() for p in model.parameters()) / 1e6
    if size == 'mini':
        return
    folder = FOLDERS[f'changemamba-{size}_{task}_{data}-256x256']
    assert round(count, 3) == folder.parameters
    init = load(name).model.backbone.init_cfg
    arch = load(name).model.backbone.arch
    assert folder.arch == (arch if isinstance(arch, str) else arch.base)
    assert ('drop' in init) == (size == 'tiny')


@pytest.mark.parametrize('name', PAPER)
def test_recipe(name):
    """Section by section what the authors' scripts say."""
    size, task, _ = parts(name)
    cfg = load(name)
    optimizer = cfg.optim_wrapper.optimizer
    decay = 5e-3 if task == 'bda' else 5e-4
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 1e-4, decay)
    assert optimizer.betas == (0.9, 0.999) and 'constructor' not in cfg.optim_wrapper
    assert cfg.train_cfg.max_iters == (20000 if task == 'bcd' else 50000)
    assert cfg.train_cfg.val_interval == (750 if task == 'bda' else 500)
    steps = cfg.get('param_scheduler', [])
    if task == 'scd':
        assert (steps[0].type, steps[0].step_size, steps[0].gamma) == ('StepLR', 10000, 0.5)
    else:
        assert steps == []
    assert cfg.train_dataloader.batch_size == 16 and cfg.val_dataloader.batch_size == 1
    kinds = [step.type.split('.')[-1] for step in cfg.train_dataloader.dataset.pipeline]
    assert kinds[2:-1] == ['ChangeCrop', 'RandomFlip', 'RandomFlip', 'QuarterTurn']
    crop = cfg.train_dataloader.dataset.pipeline[2]
    assert (tuple(crop.size), crop.limit, crop.tries) == ((256, 256), 0.75, 10)
    rate = {'mini': 0.2, 'tiny': 0.2, 'small': 0.3, 'base': 0.6}[size]
    assert cfg.model.backbone.drop_path_rate == rate and cfg.model.decode_head.drop_path == 0.1
    best = {'bcd': 'change/kappa', 'scd': 'change/sek', 'bda': 'damage/f1_oa'}[task]
    assert cfg.default_hooks.checkpoint.save_best == best


def test_both_networks_of_the_comparison_have_one_recipe():
    ours, plain = (
        load(f'changemamba/{stem}_bcd_scenes-128x128.py')
        for stem in ('changemamba-nano', 'fc-siam-diff')
    )
    for key in set(ours) | set(plain) - {'model'}:
        if key != 'model':
            assert ours[key] == plain[key], key
    model = build('changemamba/fc-siam-diff_bcd_scenes-128x128.py')
    assert sum(p.numel() for p in model.parameters()) == 1_350_146


def test_training_and_validation_share_no_scene():
    for name in SCENES:
        cfg = load(name)
        assert cfg.train_dataloader.dataset.seed != cfg.val_dataloader.dataset.seed
        assert cfg.train_dataloader.dataset.task == cfg.val_dataloader.dataset.task


@pytest.mark.parametrize('name', SCENES)
def test_small_config_trains(name, tmp_path):
    """Two iterations, a validation, and the checkpoint scores the same when tested."""
    cfg = load(name)
    cfg.work_dir = str(tmp_path)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = 2
        loader.dataset.update(length=4, size=(80, 80))
    notices = settle(cfg)
    model = run(cfg, notices).eval()
    assert all(p.isfinite().all() for p in model.parameters())
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    batch = {key: [dataset[0][key]] for key in ('inputs', 'data_samples')}
    with torch.no_grad():
        found = model.test_step(batch)[0]
    for output in model.decode_head.outputs:
        assert found.get(f'pred_{output}').data.shape == (1, 80, 80)
    tested = Runner.from_cfg(load_for_test(cfg, tmp_path)).test()
    assert tested and all(value == value for value in tested.values())


def load_for_test(cfg, folder):
    cfg = cfg.copy()
    cfg.load_from = str(folder / 'iter_2.pth')
    cfg.experiment_name = f'{folder.name}_test'
    return cfg
