"""tools/prepare_data.py: from two folders to a config, in commands a user would type."""

import subprocess
import sys

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from .training import ROOT, outside


def prepare(*arguments):
    command = [sys.executable, str(ROOT / 'tools' / 'prepare_data.py'), *map(str, arguments)]
    return subprocess.run(command, env=outside(), capture_output=True, text=True, timeout=90)


@pytest.fixture
def own(tmp_path):
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
    for n in range(4):
        pixels = np.random.randint(0, 2, (70, 80), np.uint8)
        Image.fromarray(pixels * 100).convert('RGB').save(tmp_path / 'images' / f'{n}.png')
        Image.fromarray(pixels * 255).save(tmp_path / 'masks' / f'{n}.png')
    return tmp_path


def test_own_folder_to_config(own):
    result = prepare(
        *('folder', '--images', own / 'images', '--masks', own / 'masks', '--out', own / 'data'),
        *('--classes', 'soil', 'crop', '--values', '0=0', '255=1', '--config', own / 'mine.py'),
    )
    assert result.returncode == 0, result.stderr
    assert '3 images to train, 1 to validate' in result.stdout
    cfg = Config.fromfile(own / 'mine.py')
    assert cfg.model.decode_head.num_classes == 2
    assert cfg.train_dataloader.dataset.metainfo.classes == ('soil', 'crop')
    assert prepare('check', own / 'data').returncode == 0
    checked = prepare('check', own / 'mine.py')
    assert checked.returncode == 0, checked.stderr


def test_refusal_is_one_message(own):
    result = prepare(
        *('folder', '--images', own / 'images', '--masks', own / 'masks', '--out', own / 'data'),
        *('--classes', 'soil', 'crop'),
    )
    assert result.returncode == 1
    assert result.stderr.startswith('error: 1 problem(s)')
    assert 'no mask shows crop; the masks hold the values [0, 255]' in result.stderr
    assert 'Traceback' not in result.stderr


def test_samples(tmp_path):
    assert prepare('samples', '--out', tmp_path / 'nuclei').returncode == 0
    assert prepare('check', tmp_path / 'nuclei').returncode == 0


def test_boxes_to_coco(own):
    pytest.importorskip('mmdet', reason='needs the extra det')
    table = own / 'boxes.csv'
    rows = [f'{n}.png,1,2,30,40,tree' for n in range(4)]
    table.write_text('\n'.join(['image,xmin,ymin,xmax,ymax,label', *rows, '0.png,9,9,9,12,tree']))
    command = ['coco', '--images', own / 'images', '--labels', table, '--format', 'csv']
    command += ['--out', own / 'coco', '--classes', 'tree']
    refused = prepare(*command)
    assert refused.returncode == 1
    assert f'{table}:6: box 9,9 to 9,12 is degenerate' in refused.stderr
    assert not (own / 'coco').exists()
    result = prepare(*command, '--drop')
    assert result.returncode == 0, result.stderr
    assert 'val 1 images, 1 objects; train 3 images, 3 objects' in result.stdout
    assert '1 left out:' in result.stdout
    assert (own / 'coco' / 'annotations' / 'train.json').is_file()


def test_medical_set_with_a_case_left_out(own):
    pytest.importorskip('monai', reason='needs the extra medical')
    source = own / 'challenge'
    for folder in ('input', 'truth'):
        (source / folder).mkdir(parents=True)
    for n in range(4):
        pixels = np.random.randint(0, 2, (20, 30), np.uint8)
        picture = Image.fromarray(pixels * 100).convert('RGB')
        picture.save(source / 'input' / f'ISIC_{n}.jpg')
        Image.fromarray(pixels * 255).save(source / 'truth' / f'ISIC_{n}_segmentation.png')
    (source / 'truth' / 'ISIC_2_segmentation.png').unlink()
    command = ['medical', source, '--layout', 'isic']
    checked = prepare(*command, '--check')
    assert checked.returncode == 1
    assert 'ISIC_2.jpg: no mask ISIC_2.png or ISIC_2_segmentation.png' in checked.stderr
    written = prepare(*command, '--out', own / 'isic')
    assert written.returncode == 1
    assert '2 in train, 1 in val' in written.stdout
    assert written.stderr.startswith('1 left out:')
    assert len([*(own / 'isic' / 'ann_dir').rglob('*.png')]) == 3
