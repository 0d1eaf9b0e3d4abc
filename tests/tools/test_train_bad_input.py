"""tools/train.py on bad input: an error that names file and value before any work is lost."""

import errno
import os
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mamba_dense.engine import checkpoints
from mamba_dense.engine.files import DataError
from mamba_dense.engine.train import settle
from mamba_dense.segmentation.guard import guard
from mamba_dense.segmentation.prepare import write_sample

from .training import ROOT, train_here, train_there, write_config

IMAGE = 'img_dir/train/nuclei_x0_y0.png'
MASK = 'ann_dir/train/nuclei_x0_y0.png'


@pytest.fixture
def data(tmp_path):
    return write_sample('nuclei', tmp_path / 'nuclei')


def cut(path):
    path.write_bytes(path.read_bytes()[:2000])


def empty(path):
    path.write_bytes(b'')


def shrink(path):
    with Image.open(path) as image:
        image.resize((100, 90)).save(path)


def relabel(path):
    mask = np.array(Image.open(path))
    mask[3, 5] = 7
    Image.fromarray(mask).save(path)


def colour(path):
    with Image.open(path) as image:
        image.convert('RGB').save(path)


@pytest.mark.parametrize(
    'file, spoil, said',
    [
        (IMAGE, cut, 'not a readable image'),
        (IMAGE, empty, 'an empty file'),
        (IMAGE, os.remove, 'no such'),
        (MASK, cut, 'not a readable image'),
        (MASK, os.remove, 'does not exist'),
        (MASK, shrink, 'mask of 100x90 pixels for an image of 256x256'),
        (MASK, relabel, 'label 7 outside the classes; allowed: 0, 1 and 255'),
        (MASK, colour, '3 channels; a mask has one'),
    ],
    ids=(
        'image_cut image_empty images_gone mask_cut mask_gone mask_small mask_label mask_colour'
    ).split(),
)
def test_data_is_refused_at_the_start(data, tmp_path, file, spoil, said):
    if spoil is os.remove and file == IMAGE:
        shutil.rmtree((data / file).parent)
        file = 'img_dir/train'
    else:
        spoil(data / file)
    with pytest.raises(DataError) as caught:
        train_here(write_config(tmp_path, data), tmp_path / 'work')
    assert str(data / file) in str(caught.value)
    assert said in str(caught.value)
    assert not (tmp_path / 'work').exists()


def test_empty_folder(data, tmp_path):
    for file in (data / 'img_dir' / 'train').iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r'no images; looked for \*\.png in .*img_dir/train'):
        train_here(write_config(tmp_path, data), tmp_path / 'work')


def test_data_not_prepared_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = 'vmamba-nano_upernet_nuclei-128x128.py'
    with pytest.raises(DataError, match='tools/prepare_data.py samples --name nuclei --out data/n'):
        guard(Config.fromfile(ROOT / 'configs' / 'vmamba' / name))


def test_channels_and_classes(data, tmp_path):
    four = write_config(tmp_path, data, 'model["backbone"]["in_channels"] = 4\n')
    with pytest.raises(DataError, match='1 channels, the network takes 4') as caught:
        train_here(four, tmp_path / 'work')
    assert 'data_preprocessor.mean has 3 values' in str(caught.value)
    three = write_config(tmp_path, data, 'model["decode_head"]["num_classes"] = 3\n')
    with pytest.raises(DataError, match='2 classes, decode_head.num_classes is 3'):
        train_here(three, tmp_path / 'work')


@pytest.mark.parametrize('workers', [0, 1])
def test_sample_spoiled_while_training(data, tmp_path, monkeypatch, workers):
    """What the first look leaves out is found when it is loaded, and named."""
    monkeypatch.setattr('tests.tools.training.guard', lambda cfg: spoil_after(cfg, data))
    with pytest.raises(RuntimeError, match='label 7 outside the classes') as caught:
        train_here(
            write_config(tmp_path, data), tmp_path / 'work', train_dataloader__num_workers=workers
        )
    assert 'nuclei_x' in str(caught.value)


def spoil_after(cfg, data):
    from mamba_dense.segmentation.guard import guard

    guard(cfg)
    for file in (data / 'ann_dir' / 'train').iterdir():
        relabel(file)


def test_disk_full_keeps_the_last_checkpoint(data, tmp_path, monkeypatch):
    def full_at_the_second(number):
        if len(list((tmp_path / 'work').glob('iter_*.pth'))) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(number)

    real = os.fsync
    monkeypatch.setattr(os, 'fsync', full_at_the_second)
    with pytest.raises(OSError, match='disk is full .* MB free .* MB are needed'):
        train_here(write_config(tmp_path, data), tmp_path / 'work')
    assert not list((tmp_path / 'work').glob('*.part'))
    last = checkpoints.last_whole_checkpoint(tmp_path / 'work')
    assert last.name == 'iter_4.pth'
    assert torch.load(last, weights_only=False)['meta']['iter'] == 4


def test_no_room_for_one_checkpoint(data, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**10)
    monkeypatch.setattr(checkpoints.shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(OSError, match='one checkpoint of this model takes about'):
        train_here(write_config(tmp_path, data), tmp_path / 'work')


def test_resume_refusals(data, tmp_path):
    config = write_config(tmp_path, data)
    with pytest.raises(FileNotFoundError, match='no such checkpoint'):
        train_here(config, tmp_path / 'work', resume=str(tmp_path / 'gone.pth'))
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(b'PK\x03\x04 and no more')
    with pytest.raises(ValueError, match='not a whole checkpoint'):
        train_here(config, tmp_path / 'work', resume=str(broken))


def test_launcher_without_its_environment(data, tmp_path, monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    cfg = Config.fromfile(write_config(tmp_path, data))
    cfg.work_dir = str(tmp_path / 'work')
    with pytest.raises(RuntimeError, match='needs RANK, WORLD_SIZE, LOCAL_RANK .*torchrun'):
        settle(cfg, launcher='pytorch')
    with pytest.raises(ValueError, match="launcher='horse' is unknown; known: none, pytorch"):
        settle(cfg, launcher='horse')


def test_pretrained_weights_are_not_fetched_on_resume(data, tmp_path):
    extra = (
        "model['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='file:///gone.pth')\n"
    )
    cfg = Config.fromfile(write_config(tmp_path, data, extra))
    cfg.work_dir = str(tmp_path / 'work')
    settle(cfg, resume='auto')
    assert cfg.model.backbone.init_cfg is not None
    (tmp_path / 'work').mkdir()
    torch.save({'meta': {'seed': 5}}, tmp_path / 'work' / 'iter_4.pth')
    settle(cfg, resume='auto')
    assert cfg.model.backbone.init_cfg is None
    assert cfg.randomness.seed == 5


def test_command_line(data, tmp_path):
    """No traceback where the user can help it: wrong config name, spoiled data."""
    gone = train_there([tmp_path / 'small.txt'])
    assert gone.returncode == 1
    assert gone.stderr.splitlines()[-1].startswith(
        f'error: {tmp_path / "small.txt"}: no such config'
    )
    (data / IMAGE).write_bytes(b'')
    spoiled = train_there([write_config(tmp_path, data), '--work-dir', tmp_path / 'work'])
    assert spoiled.returncode == 1
    assert 'an empty file' in spoiled.stderr
    assert 'Traceback' not in spoiled.stderr
