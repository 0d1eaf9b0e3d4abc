"""The walk-through of CONTRIBUTING.md: the backbone it invents is built from its text and works."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from mamba_dense.registry import MODELS
from mamba_dense.weights import load_weights
from tests import contracts

ROOT = Path(__file__).resolve().parents[1]
FILE = re.compile(r'^`([\w./-]+)`\n\n```python\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LINES = 150
TEXTS = dict(FILE.findall((ROOT / 'CONTRIBUTING.md').read_text()))
BACKBONE, REGISTRATION, CONFIG = TEXTS
NAME = Path(BACKBONE).stem


@pytest.fixture
def kind(tmp_path):
    """The class, from the text; forgotten again afterwards."""
    MODELS.import_from_location()
    before = set(MODELS.module_dict)
    path = tmp_path / f'{NAME}.py'
    path.write_text(TEXTS[BACKBONE])
    module = f'mamba_dense.backbones.{NAME}'
    spec = importlib.util.spec_from_file_location(module, path)
    sys.modules[module] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(sys.modules[module])
        names = {'__package__': 'mamba_dense.backbones'}
        exec(TEXTS[REGISTRATION], names)
        (added,) = set(MODELS.module_dict) - before
        assert names[added] is MODELS.module_dict[added]
        yield names[added]
    finally:
        del sys.modules[module]
        for added in set(MODELS.module_dict) - before:
            del MODELS.module_dict[added]


@pytest.fixture
def nano(kind):
    return kind('nano', drop_path_rate=0.0)


@pytest.fixture
def config(kind, tmp_path):
    """The config from the text, beside the bases that it names."""
    from mmengine.config import Config

    path = tmp_path / CONFIG
    path.parent.mkdir(parents=True)
    path.write_text(TEXTS[CONFIG])
    (tmp_path / 'configs' / '_base_').symlink_to(ROOT / 'configs' / '_base_')
    return Config.fromfile(path)


def test_files_and_length():
    """Where each file goes, and that it all takes fewer lines than the page promises."""
    assert Path(BACKBONE).parent == Path('mamba_dense/backbones') == Path(REGISTRATION).parent
    assert Path(CONFIG).parent == Path('configs') / NAME
    assert not (ROOT / BACKBONE).exists()
    assert sum(len(text.splitlines()) for text in TEXTS.values()) < LINES
    assert max(len(line) for text in TEXTS.values() for line in text.splitlines()) <= 100


@pytest.mark.parametrize('size', [(64, 96), (33, 65), (1, 5)], ids=str)
def test_any_size(nano, size):
    contracts.check_finite(nano, contracts.image(nano, *size))


def test_declared_channels_and_strides(kind):
    for arch in kind.ARCHS:
        with torch.device('meta'):
            model = kind(arch, out_indices=(2, 0))
        contracts.check_declared(model, torch.empty(2, 3, 128, 192, device='meta'))


def test_gradients_and_checkpointing(kind, nano):
    x = contracts.training_image(nano, 64, 96)
    contracts.check_every_gradient(nano, x)
    contracts.check_checkpointing(kind('nano', drop_path_rate=0.3), x)
    contracts.check_frozen(kind('nano', frozen_stages=2), x, 2, set())


def test_state_dict_round_trip(kind, tmp_path):
    contracts.check_state_dict(lambda: kind('nano'), torch.randn(1, 3, 32, 48), tmp_path)


def test_half_precision(nano):
    contracts.check_autocast(nano, contracts.image(nano, 64, 64), torch.bfloat16)


def test_blocks_take_turns(nano):
    routes = [block.mixer.routes for block in nano.stages[0].blocks]
    assert routes == ['snake', 'zigzag']


def test_the_authors_file(kind, tmp_path):
    """A file in the invented authors' names loads strictly; a name from nowhere is refused."""
    source, target = kind('nano', output_norm=False), kind('nano')
    theirs = {
        re.sub('^stages', 'layers', re.sub('^stem', 'embed', name)): value
        for name, value in source.state_dict().items()
    }
    path = tmp_path / 'theirs.pth'
    torch.save(theirs | {'head.weight': torch.zeros(2)}, path)
    load_weights(target, path, keymap=kind.AUTHOR_KEYS)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    torch.save(theirs | {'neck.weight': torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r'neck\.weight'):
        load_weights(target, path, keymap=kind.AUTHOR_KEYS)


def test_the_config_trains_a_step(config):
    pytest.importorskip('mmseg', reason='needs the extra seg')
    from mmengine.registry import OPTIM_WRAPPERS, DefaultScope

    from mamba_dense.registry import OPTIM_WRAPPER_CONSTRUCTORS
    from tests.configs.test_configs import batch

    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(config.model)
        kind = OPTIM_WRAPPER_CONSTRUCTORS.get(config.optim_wrapper.pop('constructor').split('.')[1])
        assert OPTIM_WRAPPERS.get(config.optim_wrapper.type)
        wrapper = kind(config.optim_wrapper, {})(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = model.train_step(batch(config, (64, 64)), wrapper)
    assert torch.isfinite(losses['loss'])
    assert all(p.isfinite().all() for p in model.parameters())
    unmoved = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert not unmoved
    decayed = {group['weight_decay'] for group in wrapper.optimizer.param_groups}
    assert decayed == {0.0, config.optim_wrapper.optimizer.weight_decay}
