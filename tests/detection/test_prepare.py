"""What users bring becomes COCO JSON that mmdet reads; every unusable box is named by its line."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('mmdet', reason='needs the extra det')

from mmdet.datasets import CocoDataset
from mmengine.registry import TRANSFORMS, init_default_scope

from mamba_dense.detection.prepare import write_folder, write_sample
from mamba_dense.engine.files import DataError

CLASSES = ('cat', 'dog')
SIZE = (80, 60)
BOX = (10.0, 20.0, 40.0, 50.0)


@pytest.fixture
def own(tmp_path):
    """Four images of 80x60 and an empty folder of labels."""
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    for number in range(4):
        Image.new('RGB', SIZE).save(tmp_path / 'images' / f'{number}.png')
    return tmp_path


def write(own, form, labels='labels', **options):
    options = {'classes': CLASSES, **options}
    return write_folder(own / 'images', own / labels, own / 'out', form=form, **options)


def content(own, form, labels='labels', **options):
    """All annotations written, as (image, class, x0, y0, x1, y1), sorted, and the raw ones."""
    write(own, form, labels, **options)
    found, raw = [], []
    for subset in ('train', 'val'):
        data = json.loads((own / 'out' / 'annotations' / f'{subset}.json').read_text())
        images = {image['id']: image for image in data['images']}
        names = {entry['id']: entry['name'] for entry in data['categories']}
        for item in data['annotations']:
            x, y, width, height = item['bbox']
            image = images[item['image_id']]
            assert (image['width'], image['height']) == SIZE
            assert (own / 'out' / 'images' / subset / image['file_name']).is_file()
            label = names[item['category_id']]
            found.append((image['file_name'], label, x, y, x + width, y + height))
            raw.append(item)
    return sorted(found), raw


def problems(own, form, labels='labels', **options):
    with pytest.raises(DataError) as caught:
        write(own, form, labels, **options)
    assert not (own / 'out').exists()
    return caught.value.problems


def voc(own, number, *objects):
    items = ''.join(
        f'<object>\n<name>{name}</name>\n<bndbox><xmin>{a}</xmin><ymin>{b}</ymin>'
        f'<xmax>{c}</xmax><ymax>{d}</ymax></bndbox>\n</object>\n'
        for name, a, b, c, d in objects
    )
    text = f'<annotation>\n<!-- an <object> -->\n{items}</annotation>\n'
    (own / 'labels' / f'{number}.xml').write_text(text)


EXPECTED = [('0.png', 'dog', *BOX), ('1.png', 'cat', 0, 0, 80, 60)]


def test_yolo(own):
    (own / 'labels' / '0.txt').write_text(f'1 {25 / 80} {35 / 60} {30 / 80} 0.5\n\n')
    (own / 'labels' / '1.txt').write_text('0 .5 .5 1.0001 1\n')
    (own / 'labels' / '2.txt').write_text('')
    found, _ = content(own, 'yolo')
    assert found == EXPECTED


def test_yolo_polygon(own):
    (own / 'labels' / '0.txt').write_text('1 0 0 0.5 0 0.5 0.5 0 0.5\n')
    found, raw = content(own, 'yolo')
    assert found == [('0.png', 'dog', 0, 0, 40, 30)]
    assert raw[0]['area'] == 1200
    assert raw[0]['segmentation'] == [[0, 0, 40, 0, 40, 30, 0, 30]]


def test_yolo_problems(own):
    lines = [
        *('1 .5 .5 .2 .2', '2 .5 .5 .2 .2', '0 .5 .5 0 .2', '0 .99 .5 .2 .2'),
        *('0 .5 .5 .2', 'cat .5 .5 .2 .2', '0 3 3 .1 .1', '0 nan .5 .2 .2'),
    ]
    (own / 'labels' / '0.txt').write_text('\n'.join(lines))
    (own / 'labels' / 'other.txt').write_text('')
    found = problems(own, 'yolo')
    file = own / 'labels' / '0.txt'
    parts = (
        *('class 2 is unknown; known: 0 to 1', 'degenerate: 0 wide, 12 high'),
        *('outside the image of 80x60 (0.png)', '4 columns', "'cat .5 .5 .2 .2' is not"),
        *('outside the image', 'is not finite'),
    )
    for line, part in enumerate(parts, 2):
        assert any(text.startswith(f'{file}:{line}: ') and part in text for text in found), part
    assert f'{own / "labels" / "other.txt"}: no image of this name' in found
    assert len(found) == 8


def test_csv(own):
    table = own / 'boxes.csv'
    table.write_text(
        'label,image,xmin,ymin,xmax,ymax\ndog,0.png,10,20,40,50\ncat,some/1.png,0,0,80,60\n'
    )
    assert content(own, 'csv', 'boxes.csv')[0] == EXPECTED


def test_csv_problems(own):
    table = own / 'boxes.csv'
    lines = ['image,xmin,ymin,xmax,ymax,label', '0.png,1,1,9,9,cat', '0.png,1,1,9,9,bird']
    lines += ['0.png,9,1,1,9,cat', '9.png,1,1,9,9,cat', '0.png,1,1,9,99,cat', '0.png,1,1,x,9,cat']
    table.write_text('\n'.join([*lines, '0.png,1,1']))
    found = problems(own, 'csv', 'boxes.csv')
    parts = ("class 'bird' is unknown; known: cat, dog", 'degenerate: -8 wide', "image '9.png'")
    parts += ('outside the image', 'not four numbers', 'not four numbers')
    assert len(found) == len(parts)
    for line, (part, text) in enumerate(zip(parts, found, strict=True), 3):
        assert text.startswith(f'{table}:{line}: ')
        assert part in text
    table.write_text('image,xmin,ymin,xmax,label\n')
    assert 'no column ymax' in problems(own, 'csv', 'boxes.csv')[0]


def test_voc(own):
    voc(own, 0, ('dog', *BOX))
    voc(own, 1, ('cat', 0, 0, 80, 60))
    assert content(own, 'voc')[0] == EXPECTED


def test_voc_of_pascal_counts_from_one(own):
    voc(own, 0, ('dog', 11, 21, 40, 50))
    voc(own, 1, ('cat', 1, 1, 80, 60))
    assert content(own, 'voc', first_pixel=1)[0] == EXPECTED


def test_voc_problems(own):
    voc(own, 0, ('dog', *BOX), ('bird', *BOX), ('cat', 5, 5, 5, 9))
    (own / 'labels' / '1.xml').write_text('<annotation><object>')
    found = problems(own, 'voc')
    file = own / 'labels' / '0.xml'
    assert found[0].startswith(f"{file}:7: class 'bird' is unknown")
    assert found[1].startswith(f'{file}:11: box 5,5 to 5,9 is degenerate')
    assert 'not readable as XML' in found[2]
    assert len(found) == 3


def label_images(own, dtype=np.uint16):
    values = np.zeros((60, 80), dtype)
    values[20:50, 10:40] = 700 if dtype == np.uint16 else 7
    values[0, 0] = 3
    for number in range(4):
        Image.fromarray(values if number == 0 else values * 0).save(
            own / 'labels' / f'{number}.png'
        )
    return values


def test_instances(own):
    values = label_images(own)
    found, raw = content(own, 'instances', classes=('cell',))
    assert found == [('0.png', 'cell', 0, 0, 1, 1), ('0.png', 'cell', *BOX)]
    from pycocotools import mask as run_lengths

    largest = max(raw, key=lambda item: item['area'])
    assert largest['area'] == 900
    assert (run_lengths.decode(largest['segmentation']) == (values == 700)).all()


def test_instance_problems(own):
    label_images(own)
    Image.new('I;16', (5, 6)).save(own / 'labels' / '1.png')
    (own / 'labels' / '2.png').unlink()
    found = problems(own, 'instances', classes=('cell',), min_area=2)
    assert found[0].endswith('0.png: object 3 is degenerate: 1 pixel(s), fewer than 2')
    assert 'labels of 5x6 for an image of 80x60' in found[1]
    assert 'no label image for 2.png' in found[2]
    with pytest.raises(ValueError, match='one class; 2 are given'):
        write(own, 'instances')


def test_what_is_dropped_is_listed(own):
    (own / 'labels' / '0.txt').write_text(f'1 {25 / 80} {35 / 60} {30 / 80} 0.5\n9 .5 .5 .2 .2\n')
    counts, left_out = write(own, 'yolo', drop=True)
    assert sum(images for images, _ in counts.values()) == 4
    assert sum(objects for _, objects in counts.values()) == 1
    assert [text.split(': ')[0] for text in left_out] == [f'{own / "labels" / "0.txt"}:2']
    with pytest.raises(FileExistsError, match='holds data already'):
        write(own, 'yolo', drop=True)


def test_nothing_usable(own):
    assert problems(own, 'yolo', drop=True) == [f'{own / "labels"}: no object that can be used']


def test_arguments(own):
    with pytest.raises(ValueError, match="form='kitti' must be one of yolo, csv"):
        write(own, 'kitti')
    with pytest.raises(ValueError, match='val_share=1'):
        write(own, 'yolo', val_share=1)
    with pytest.raises(DataError, match='no such folder'):
        write(own, 'yolo', 'nowhere')


@pytest.mark.parametrize(
    ('name', 'counts'),
    [('nuclei_instances', {'train': (3, 108), 'val': (1, 28)}),
     ('trees', {'train': (2, 65), 'val': (2, 75)})],
)  # fmt: skip
def test_samples_are_read_by_mmdet(name, counts, tmp_path):
    init_default_scope('mmdet')
    masks = name == 'nuclei_instances'
    write_sample(name, tmp_path)
    for subset, (images, objects) in counts.items():
        dataset = CocoDataset(
            ann_file=f'annotations/{subset}.json',
            data_root=str(tmp_path),
            data_prefix={'img': f'images/{subset}'},
            metainfo={'classes': ('nucleus' if masks else 'tree',)},
        )
        load = [
            TRANSFORMS.build({'type': 'LoadImageFromFile'}),
            TRANSFORMS.build({'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': masks}),
        ]
        assert len(dataset) == images
        found = 0
        for number in range(images):
            info = dataset.get_data_info(number)
            for step in load:
                info = step(info)
            height, width = info['img'].shape[:2]
            assert (info['height'], info['width']) == (height, width)
            boxes = info['gt_bboxes'].numpy()
            assert (boxes[:, :2] >= 0).all()
            assert (boxes[:, 2:] <= [width, height]).all()
            found += len(boxes)
            if masks:
                assert (info['gt_masks'].masks.sum(axis=(1, 2)) >= 16).all()
        assert found == objects


def test_unknown_sample(tmp_path):
    with pytest.raises(ValueError, match="'brain' is not a detection sample; known: nuclei_inst"):
        write_sample('brain', tmp_path)
