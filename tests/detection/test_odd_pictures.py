"""Pictures and labels out of the ordinary: in training, in evaluation, in inference."""

import json

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmdet', reason='needs the extra det')

from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, init_default_scope
from pycocotools import mask as coco_masks

from mamba_dense.apis import ImageError, infer, init_model
from mamba_dense.detection.guard import config_problems, guard
from mamba_dense.engine.evaluate import evaluate
from mamba_dense.engine.files import DataError
from mamba_dense.engine.train import run, settle
from tests.tools.training import ROOT

SIDE = 64
CONFIG = ROOT / 'configs/vmamba/vmamba-nano_mask-rcnn_nuclei.py'
GREY = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8)
STORED = {
    'grey': GREY,
    'colour': np.stack([GREY] * 3, axis=2),
    'alpha': np.dstack([GREY, GREY, GREY, np.full_like(GREY, 7)]),
    'deep': GREY.astype(np.uint16) * 257,
}
# left, top, width, height
LABELS = {
    'nothing': [],
    'one': [[20, 20, 16, 16]],
    'border': [[0, 0, 12, 20], [52, 44, 12, 20]],
    'corner_pixel': [[63, 63, 1, 1], [0, 0, 1, 1]],
    'many': [[12 * (n % 5), 12 * (n // 5), 10, 10] for n in range(25)],
}
MOST = 4  # objects found in a picture


def write(folder, subset, labels, images=None):
    """Images and masks of `labels`, as prepare_data would write them."""
    records, pictures = [], []
    (folder / 'images' / subset).mkdir(parents=True)
    for number, (name, boxes) in enumerate(labels.items(), 1):
        image = (images or {}).get(name, STORED['colour'])
        file = f'{name}.png'
        cv2.imwrite(str(folder / 'images' / subset / file), image)
        pictures.append({'id': number, 'file_name': file, 'width': SIDE, 'height': SIDE})
        for left, top, width, height in boxes:
            pixels = np.zeros((SIDE, SIDE), np.uint8, order='F')
            pixels[top : top + height, left : left + width] = 1
            code = coco_masks.encode(pixels)
            records.append(
                {
                    'id': len(records) + 1,
                    'image_id': number,
                    'category_id': 1,
                    'bbox': [left, top, width, height],
                    'area': width * height,
                    'segmentation': {'size': code['size'], 'counts': code['counts'].decode()},
                    'iscrowd': 0,
                }
            )
    content = {
        'images': pictures,
        'annotations': records,
        'categories': [{'id': 1, 'name': 'nucleus'}],
    }
    (folder / 'annotations').mkdir(exist_ok=True)
    (folder / 'annotations' / f'{subset}.json').write_text(json.dumps(content))


def config(folder, work_dir, *, keep_empty=True, pipeline=()):
    """The nuclei's config on small pictures, every one of them in each step."""
    cfg = Config.fromfile(CONFIG)
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].dataset.data_root = f'{folder}/'
        for step in cfg[key].dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (SIDE, SIDE)
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = f'{folder}/annotations/val.json'
    load, pack = cfg.train_dataloader.dataset.pipeline[:2], {'type': 'PackDetInputs'}
    cfg.train_dataloader.dataset.pipeline = [*load, *pipeline, pack]
    cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt = not keep_empty
    cfg.train_dataloader.batch_size = len(json.loads(
        (folder / 'annotations' / 'train.json').read_text())['images'])  # fmt: skip
    cfg.model.test_cfg.rpn.max_per_img = 40
    cfg.model.test_cfg.rcnn.update(max_per_img=MOST, score_thr=0.0)
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(work_dir)
    name = work_dir.as_posix().replace('/', '_')
    cfg.experiment_name = cfg.visualizer.name = name
    return cfg


def train(cfg):
    """The row of losses of one step, after the guard, and the last validation's scores."""
    guard(cfg)
    torch.manual_seed(0)
    run(cfg, settle(cfg))
    (log,) = (cfg_dir for cfg_dir in sorted((ROOT / cfg.work_dir).glob('*/vis_data/scalars.json')))
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    losses = next(row for row in rows if 'loss' in row)
    return losses, next(row for row in rows if 'coco/segm_mAP' in row)


def test_odd_labels_train_and_score(tmp_path):
    """All kinds of labels in one batch, stored in all ways."""
    kinds = dict(zip(LABELS, ('grey', 'colour', 'alpha', 'deep', 'grey'), strict=True))
    images = {name: STORED[kind] for name, kind in kinds.items()}
    for subset in ('train', 'val'):
        write(tmp_path, subset, LABELS, images)
    losses, scores = train(config(tmp_path, tmp_path / 'work'))
    named = {name: value for name, value in losses.items() if 'loss' in name}
    assert len(named) == 6 and all(np.isfinite(list(named.values())))
    assert losses['loss_mask'] > 0
    assert 0 <= scores['coco/segm_mAP_50'] <= 1
    # 2 pictures of the first kind give at most MOST objects each, 25 are labelled in one
    cfg = config(tmp_path, tmp_path / 'test')
    cfg.test_evaluator.update(out_dir=str(tmp_path / 'evaluation'), score=0.0)
    evaluate(cfg, str(tmp_path / 'work' / 'iter_1.pth'))
    rows = (tmp_path / 'evaluation/bbox/confusion.csv').read_text().splitlines()
    (found, missed), (made_up, _) = ([int(cell) for cell in row.split(',')[1:]] for row in rows[1:])
    assert found + missed == sum(map(len, LABELS.values()))
    assert found + made_up <= MOST * len(LABELS)
    assert missed >= len(LABELS['many']) - MOST


@pytest.mark.parametrize('keep', [True, False], ids=['kept', 'filtered'])
def test_a_batch_without_objects(tmp_path, keep):
    """Trains the classifiers alone where empty pictures are kept; else there is an error."""
    labels = {'nothing': [], 'nothing_else': []}
    write(tmp_path, 'train', labels if keep else {**labels, 'one': LABELS['one']})
    write(tmp_path, 'val', {'one': LABELS['one']})
    cfg = config(tmp_path, tmp_path / 'work', keep_empty=keep)
    if keep:
        # the guard wants some object in the whole set; a single batch may well have none
        assert [p for p in config_problems(cfg) if 'no annotations' in p]
        init_default_scope('mmdet')
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        batch = [dataset[number] for number in range(2)]
        model = init_model(cfg, device='cpu').train()
        data = {key: [item[key] for item in batch] for key in batch[0]}
        losses = model(**model.data_preprocessor(data, True), mode='loss')
        total = sum(sum(part) if isinstance(part, list) else part for part in losses.values())
        total.backward()
        assert torch.isfinite(total)
        assert losses['loss_bbox'] == losses['loss_mask'] == 0
        assert losses['loss_cls'] > 0
    else:
        cfg.train_dataloader.batch_size = 1
        init_default_scope('mmdet')
        assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 1
        assert train(cfg)[0]['loss_mask'] > 0


def test_a_set_without_any_object_is_refused(tmp_path):
    for subset in ('train', 'val'):
        write(tmp_path, subset, {'nothing': []})
    with pytest.raises(DataError, match=r'train\.json: no annotations'):
        guard(config(tmp_path, tmp_path / 'work'))


def test_objects_smaller_than_the_filter_leave_their_picture_out(tmp_path):
    """FilterAnnotations drops 1-pixel boxes; the picture is left out, the others train."""
    pipeline = [{'type': 'FilterAnnotations', 'min_gt_bbox_wh': (4, 4)}]
    write(tmp_path, 'train', {'one': LABELS['one'], 'corner_pixel': LABELS['corner_pixel']})
    write(tmp_path, 'val', {'corner_pixel': LABELS['corner_pixel']})
    losses, scores = train(config(tmp_path, tmp_path / 'work', pipeline=pipeline))
    assert np.isfinite(losses['loss']) and 0 <= scores['coco/bbox_mAP'] <= 1


@pytest.mark.parametrize('name', ['vmamba-nano_mask-rcnn_nuclei', 'vmamba-nano_retinanet_trees'])
class TestStored:
    def test_every_way_shows_the_network_the_same(self, name, tmp_path):
        """By mmdet's loader, as in training and evaluation, and by ours, as in inference."""
        init_default_scope('mmdet')
        torch.manual_seed(0)
        model = init_model(name, device='cpu')
        model.init_weights()
        for settings in (model.test_cfg, model.test_cfg.get('rcnn') or {}):
            settings.update(score_thr=0.0, max_per_img=MOST)
        steps = [s for s in model.cfg.test_pipeline if s['type'] != 'LoadAnnotations']
        seen, found = [], []
        for kind, image in STORED.items():
            file = tmp_path / f'{kind}.png'
            cv2.imwrite(str(file), image)
            seen.append(Compose(steps)({'img_path': str(file), 'img_id': 0})['inputs'])
            found.append(infer(model, file))
            assert len(found[-1].labels) == MOST
        assert all(torch.equal(other, seen[0]) for other in seen)
        assert all(np.array_equal(other.boxes, found[0].boxes) for other in found)
        assert all(np.array_equal(other.scores, found[0].scores) for other in found)

    @pytest.mark.parametrize('shape', [(1, 1), (1, 200), (200, 1), (47, 33)])
    def test_extreme_shapes(self, name, shape):
        result = infer(self.model(name), np.full(shape, 90, np.uint8))
        assert result.size == shape
        assert (result.boxes >= 0).all()
        assert (result.boxes[:, [2, 0]] <= shape[1] + 1e-3).all()
        assert (result.boxes[:, [3, 1]] <= shape[0] + 1e-3).all()

    def test_too_narrow(self, name):
        if 'mask' not in name:
            pytest.skip('its pictures keep their size')
        with pytest.raises(ImageError, match='2000x1 pixels cannot be prepared.*pad it'):
            infer(self.model(name), np.zeros((1, 2000), np.uint8))

    def test_refusals(self, name):
        model = self.model(name)
        with pytest.raises(ImageError, match='has 2 channels'):
            infer(model, np.zeros((9, 9, 2), np.uint8))
        with pytest.raises(ImageError, match='16-bit, but its largest value is 900'):
            infer(model, np.full((9, 9), 900, np.uint16))

    def model(self, name):
        return init_model(name, device='cpu')


def test_dark_16_bit_pictures_are_refused_before_a_training(tmp_path):
    """mmdet's loader would make them black in silence; inference refuses them, too."""
    write(tmp_path, 'train', LABELS, {'one': GREY.astype(np.uint16) * 16})
    write(tmp_path, 'val', {'one': LABELS['one']})
    with pytest.raises(
        DataError, match=r'one\.png: 16-bit, but its largest value is 4080'
    ) as caught:
        guard(config(tmp_path, tmp_path / 'work'))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ('box', 'words'),
    [
        ([60, 60, 10, 10], 'lies outside the image of 64x64'),
        ([10, 10, 0, 5], 'is degenerate: 0 wide'),
        ([10, 10, 0.4, 5], 'less than a pixel'),
    ],
)
def test_boxes_that_cannot_be_are_named(tmp_path, box, words):
    for subset in ('train', 'val'):
        write(tmp_path, subset, {'one': LABELS['one']})
    file = tmp_path / 'annotations' / 'train.json'
    content = json.loads(file.read_text())
    content['annotations'][0]['bbox'] = box
    file.write_text(json.dumps(content))
    (problem,) = config_problems(config(tmp_path, tmp_path / 'work'), boxes=True)
    assert words in problem and 'annotation 1' in problem
