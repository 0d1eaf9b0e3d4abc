"""COCO data is looked at before a training: files, classes, boxes."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

pytest.importorskip('mmdet', reason='needs the extra det')

from mamba_dense.detection.guard import config_problems, folder_problems, guard
from mamba_dense.detection.prepare import write_sample
from mamba_dense.engine.files import DataError

CONFIG = Path(__file__).resolve().parents[2] / 'configs/vmamba/vmamba-nano_mask-rcnn_nuclei.py'


@pytest.fixture
def data(tmp_path):
    return write_sample('nuclei_instances', tmp_path / 'nuclei')


def config(root):
    cfg = Config.fromfile(CONFIG)
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].dataset.data_root = f'{root}/'
    return cfg


def change(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_good_data(data):
    guard(config(data))
    assert list(folder_problems(data)) == []


def test_data_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r'nowhere/annotations/train\.json: does not exist'):
        guard(config(tmp_path / 'nowhere'))
    found = list(config_problems(config('data/nuclei_instances')))
    hint = 'write it by: python tools/prepare_data.py samples --name nuclei_instances'
    assert hint in found[0] or (CONFIG.parents[2] / 'data/nuclei_instances').exists()


def test_classes(data):
    cfg = config(data)
    cfg.train_dataloader.dataset.metainfo.classes = ('cell',)
    cfg.val_dataloader.dataset.metainfo.classes = ('nucleus', 'cell')
    first, second, third = config_problems(cfg)
    assert 'train.json: no category cell; it has nucleus' in first
    assert second == 'val_dataloader: 2 classes (nucleus, cell); num_classes of the heads is 1'
    assert 'val.json: no category cell' in third


def test_files(data):
    next((data / 'images' / 'train').iterdir()).write_bytes(b'')
    (data / 'annotations' / 'val.json').write_text('{')
    found = list(config_problems(config(data)))
    assert 'an empty file' in found[0]
    assert 'val.json: not readable as JSON' in found[1]
    change(data / 'annotations' / 'train.json', lambda content: content.pop('images'))
    assert any('train.json: has no images' in line for line in folder_problems(data))


def test_boxes(data):
    def edit(content):
        boxes = content['annotations']
        boxes[0]['bbox'] = [10, 10, 0, 5]
        boxes[1]['bbox'] = [250, 10, 30, 5]
        boxes[2]['category_id'] = 7
        boxes[3]['image_id'] = 99

    change(data / 'annotations' / 'train.json', edit)
    parts = ('degenerate', 'outside the image of 256x256', "class '7' is unknown", 'no image 99')
    found = list(folder_problems(data))
    for number, (part, line) in enumerate(zip(parts, found, strict=True), 1):
        assert f'train.json: annotation {number}: ' in line
        assert part in line
