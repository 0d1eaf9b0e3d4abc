"""Mamba-YOLO's recipe: it survives a kill, closes mosaic where it says, and augments as it says."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

pytest.importorskip('mmdet', reason='needs the extra det')

from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmdet.utils import register_all_modules

from mamba_dense.detection import CentredAffine, HSVGains, LetterBox, MosaicOfFour, SteppedResize
from mamba_dense.detection.postprocess import to_original
from mamba_dense.detection.prepare import write_sample
from mamba_dense.engine import StreamDataset, WarmupDecayHook
from mamba_dense.engine.streams import StreamIndex
from mamba_dense.engine.train import run, settle
from mamba_dense.registry import HOOKS
from tests.detection.mamba_yolo_cases import ROOT, image_batch

RECIPE = ROOT / 'configs/mamba_yolo/mamba-yolo-t_8xb64-300e-ms_coco.py'
SIDE = 64


class Killed(Exception):
    """What stands for a kill."""


@HOOKS.register_module(force=True)
class KillHook(Hook):
    """Ends a run in the middle of an epoch."""

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            raise Killed


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_sample('nuclei_instances', tmp_path_factory.mktemp('data') / 'nuclei')


def mask_recipe(data, work_dir):
    """The mask variant's config with the nano network over the nuclei: an epoch, a validation."""
    cfg = Config.fromfile(ROOT / 'configs/mamba_yolo/mamba-yolo-mask-n_8xb16-300e_coco.py')
    widths = [32, 64, 128]
    cfg.model.backbone.arch = 'nano'
    cfg.model.neck.update(in_channels=widths, state=4)
    cfg.model.bbox_head.update(in_channels=widths, num_classes=1, prototype_channels=16)
    for loader, part in ((cfg.train_dataloader, 'train'), (cfg.val_dataloader, 'val')):
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=f'{data}/',
            metainfo=dict(classes=('nucleus',)),
            ann_file=f'annotations/{part}.json',
            data_prefix=dict(img=f'images/{part}/'),
        )
    cfg.train_dataloader.dataset.filter_cfg = None
    steps = cfg.train_dataloader.dataset.pipeline
    steps[1].poly2mask = True  # the nuclei are run lengths
    steps[2].scale = (SIDE * 2, SIDE * 2)
    steps[3].crop_size = steps[5].size = (SIDE, SIDE)
    cfg.val_dataloader.dataset.pipeline[1].scale = (SIDE * 2, SIDE * 2)
    cfg.val_evaluator.ann_file = f'{data}/annotations/val.json'
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
    cfg.optim_wrapper.type = 'OptimWrapper'
    cfg.model.test_cfg = dict(score_thr=0.0, max_per_img=10)
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = cfg.visualizer.name = str(work_dir).replace('/', '_')
    return cfg


def recipe(data, work_dir, kill=None):
    """The COCO recipe with the nano network over the nuclei: 3 epochs of 3 images, mosaic in 2."""
    cfg = Config.fromfile(RECIPE)
    widths = [32, 64, 128]
    cfg.model.backbone.arch = 'nano'
    cfg.model.neck.update(in_channels=widths, state=4)
    cfg.model.bbox_head.update(in_channels=widths, num_classes=1, image_size=SIDE)
    cfg.model.data_preprocessor.batch_augments[0].update(random_size_range=(64, 128), interval=2)
    loader = cfg.train_dataloader
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    loader.dataset.close_epoch = 2
    loader.dataset.pipeline[0].img_scale = (SIDE, SIDE)
    loader.dataset.pipeline[1].size = (SIDE, SIDE)
    loader.dataset.late_pipeline[0].scale = (SIDE, SIDE)
    loader.dataset.late_pipeline[1].size = (SIDE, SIDE)
    loader.dataset.dataset.update(
        data_root=f'{data}/',
        metainfo=dict(classes=('nucleus',)),
        ann_file='annotations/train.json',
        data_prefix=dict(img='images/train/'),
    )
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)
    cfg.optim_wrapper.type = 'OptimWrapper'
    cfg.custom_hooks[0].update(epochs=2, min_iters=4)
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=-1, save_best=None)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = cfg.visualizer.name = str(work_dir).replace('/', '_') + str(kill)
    cfg.randomness = dict(seed=3)
    if kill is not None:
        cfg.custom_hooks.append(dict(type='mamba_dense.KillHook', iteration=kill))
    return cfg


def losses(work_dir):
    found = {}
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            names = ('loss', 'loss_cls', 'loss_bbox', 'loss_dfl', 'lr')
            found[entry['step']] = {name: entry[name] for name in names}
    return found


def test_killed_and_resumed_equals_unbroken(data, tmp_path):
    """Killed in the second epoch, resumed from the first, past the closing: all states equal."""
    run(cfg := recipe(data, tmp_path / 'whole'), settle(cfg))
    cfg = recipe(data, tmp_path / 'parts', kill=5)
    with pytest.raises(Killed):
        run(cfg, settle(cfg))
    cfg = recipe(data, tmp_path / 'parts')
    run(cfg, settle(cfg, resume='auto'))
    whole, parts = losses(tmp_path / 'whole'), losses(tmp_path / 'parts')
    assert sorted(whole) == list(range(1, 10))
    assert parts == whole
    files = [tmp_path / name / 'epoch_3.pth' for name in ('whole', 'parts')]
    first, second = (torch.load(file, weights_only=False) for file in files)
    for kind in ('state_dict', 'ema_state_dict'):
        assert first[kind].keys() == second[kind].keys()
        assert all(torch.equal(first[kind][name], second[kind][name]) for name in first[kind])
    states = [content['optimizer']['state'] for content in (first, second)]
    assert states[0].keys() == states[1].keys()
    for key, state in states[0].items():
        assert torch.equal(state['momentum_buffer'], states[1][key]['momentum_buffer'])


def test_mask_variant_trains_and_is_scored(data, tmp_path):
    run(cfg := mask_recipe(data, tmp_path), settle(cfg))
    lines = next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert all(entry['loss_mask'] > 0 for entry in entries if 'loss_mask' in entry)
    assert sum('loss_mask' in entry for entry in entries) == 3
    assert {'coco/bbox_mAP_50', 'coco/segm_mAP_50'} <= set(entries[-1])


class TestClosing:
    @pytest.fixture
    def dataset(self, data, tmp_path):
        cfg = recipe(data, tmp_path)
        register_all_modules()
        return StreamDataset(cfg.train_dataloader.dataset, seed=0)

    def test_follows_the_position(self, dataset, monkeypatch):
        """Mosaic up to the last sample of the second epoch of three, none from the next on."""
        used = []
        transform = MosaicOfFour.transform

        def watched(self, results):
            used.append(True)
            return transform(self, results)

        monkeypatch.setattr(MosaicOfFour, 'transform', watched)
        counts = []
        for position in (0, 5, 6, 30):
            used.clear()
            sample = dataset[StreamIndex(position % 3, position)]
            counts.append(len(used))
            assert sample['inputs'].shape == (3, SIDE, SIDE)
        assert counts == [1, 1, 0, 0]

    def test_a_sample_is_a_function_of_its_position(self, dataset):
        for position in (4, 40):
            first, again = (dataset[StreamIndex(1, position)]['inputs'] for _ in range(2))
            assert torch.equal(first, again)
        other = dataset[StreamIndex(1, 5)]['inputs']
        assert not torch.equal(other, dataset[StreamIndex(1, 4)]['inputs'])

    def test_one_end_is_wanted(self, data, tmp_path):
        cfg = recipe(data, tmp_path).train_dataloader.dataset
        cfg.close_samples = 12
        register_all_modules()
        with pytest.raises(ValueError, match='give one of them'):
            StreamDataset(cfg, seed=0)


def picture(height, width, boxes, masks=None):
    results = dict(
        img=np.full((height, width, 3), 200, np.uint8),
        img_shape=(height, width),
        ori_shape=(height, width),
        gt_bboxes=HorizontalBoxes(np.array(boxes, np.float32).reshape(-1, 4)),
        gt_bboxes_labels=np.zeros(len(boxes), np.int64),
        gt_ignore_flags=np.zeros(len(boxes), bool),
    )
    if masks is not None:
        results['gt_masks'] = masks
    return results


class TestLetterBox:
    def test_square(self):
        out = LetterBox((64, 64)).transform(picture(50, 100, [[10, 20, 30, 40]]))
        assert out['img'].shape == (64, 64, 3) and out['pad_param'] == (16, 16, 0, 0)
        assert (out['img'][:16] == 114).all() and (out['img'][16:48] == 200).all()
        expected = [6.4, 12.8 + 16, 19.2, 25.6 + 16]
        assert out['gt_bboxes'].tensor[0].tolist() == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize(
        ('size', 'expected'), [((640, 640), (672, 672)), ((640, 426), (672, 448))], ids=str
    )
    def test_rectangle_of_the_sheet(self, size, expected):
        out = LetterBox((640, 640), rectangle=True).transform(picture(*size, []))
        assert out['img'].shape[:2] == out['img_shape'] == expected

    def test_the_head_undoes_it(self):
        box = [10.0, 20, 30, 40]
        out = LetterBox((64, 64), rectangle=True).transform(picture(50, 100, [box]))
        back = to_original(out['gt_bboxes'].tensor, out)
        assert back[0].tolist() == pytest.approx(box, abs=1e-4)

    def test_masks_move_along(self):
        plane = np.zeros((1, 50, 100), np.uint8)
        plane[:, 20:40, 10:30] = 1
        out = LetterBox((100, 100)).transform(
            picture(50, 100, [[10, 20, 30, 40]], BitmapMasks(plane, 50, 100))
        )
        rows, columns = np.nonzero(out['gt_masks'].masks[0])
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (45, 64, 10, 29)
        polygon = [np.array([10.0, 20, 30, 20, 30, 40])]
        out = LetterBox((100, 100)).transform(
            picture(50, 100, [[10, 20, 30, 40]], PolygonMasks([polygon], 50, 100))
        )
        assert out['gt_masks'].masks[0][0].tolist() == [10, 45, 30, 45, 30, 65]


class TestCentredAffine:
    def test_the_centre_stays_in_the_middle(self):
        fixed = CentredAffine((64, 64), scale_range=(0.5, 0.5), translate=0.0)
        out = fixed.transform(picture(128, 128, [[32, 32, 96, 96]]))
        assert out['gt_bboxes'].tensor.tolist() == [[16, 16, 48, 48]]
        assert out['img'].shape == (64, 64, 3)

    def test_slivers_are_left_out(self):
        fixed = CentredAffine((64, 64), scale_range=(1.0, 1.0), translate=0.0)
        boxes = [[0, 0, 34, 64], [40, 40, 60, 60], [50, 50, 51, 60], [0, 60, 128, 128]]
        out = fixed.transform(picture(128, 128, boxes))
        # the first keeps 2 of its columns, the third is narrow; the others stay in part or whole
        assert out['gt_bboxes'].tensor.tolist() == [[8, 8, 28, 28], [0, 28, 64, 64]]
        assert len(out['gt_bboxes_labels']) == len(out['gt_ignore_flags']) == 2

    def test_masks_are_refused(self):
        masks = BitmapMasks(np.zeros((1, 8, 8), np.uint8), 8, 8)
        with pytest.raises(ValueError, match='no masks'):
            CentredAffine((8, 8)).transform(picture(8, 8, [[0, 0, 4, 4]], masks))


def test_colours_keep_grey_grey():
    """A grey has no hue and no saturation: only its value changes, by at most 0.4."""
    np.random.seed(0)
    values = {HSVGains().transform(picture(4, 4, []))['img'][0, 0].tolist()[0] for _ in range(20)}
    assert len(values) > 5 and min(values) >= 119 and max(values) <= 255


def test_mosaic_never_asks_beyond_the_last_image():
    random.seed(0)
    drawn = {i for _ in range(200) for i in MosaicOfFour((8, 8)).get_indexes(range(2))}
    assert drawn == {0, 1}


def test_sizes_follow_from_the_iteration():
    from mmengine.logging import MessageHub

    hub = MessageHub.get_current_instance()
    resize, fresh = (SteppedResize((64, 256), interval=2) for _ in range(2))
    sizes = []
    for iteration in range(12):
        hub.update_info('iter', iteration)
        images, samples = image_batch(1)
        images, samples = resize(images, samples)
        sizes.append(tuple(images.shape[2:]))
        assert samples[0].gt_instances.bboxes.max() <= images.shape[-1]
    assert sizes[0::2] == sizes[1::2] and len(set(sizes)) > 2
    hub.update_info('iter', 11)
    assert tuple(fresh(*image_batch(1))[0].shape[2:]) == sizes[11]


class TestSchedule:
    def values(self, iteration, epochs=300, length=100):
        """Learning rate of weights and of biases, and momentum, at an iteration."""
        model = torch.nn.Linear(2, 2)
        optimizer = torch.optim.SGD(
            [dict(params=[p]) for p in model.parameters()], lr=0.01, momentum=0.937
        )

        class Runner:
            pass

        runner = Runner()
        runner.model = model
        runner.optim_wrapper = Runner()
        runner.optim_wrapper.optimizer = optimizer
        runner.train_dataloader = range(length)
        runner.iter, runner.epoch, runner.max_epochs = iteration, iteration // length, epochs
        hook = WarmupDecayHook()
        hook.before_run(runner)
        hook.before_train_iter(runner, 0)
        weight, bias = optimizer.param_groups
        return weight['lr'], bias['lr'], weight['momentum']

    def test_warm_up(self):
        assert self.values(0) == pytest.approx((0.0, 0.1, 0.8))
        weight, bias, momentum = self.values(150)
        rate = 0.01 * (1 - 0.99 / 300)
        assert (weight, bias) == pytest.approx((rate / 2, (0.1 + rate) / 2))
        assert momentum == pytest.approx((0.8 + 0.937) / 2)

    def test_decay(self):
        assert self.values(15000) == pytest.approx((0.00505, 0.00505, 0.937))
        assert self.values(29999)[0] == pytest.approx(0.01 * (0.99 / 300 + 0.01))


def test_weight_decay_is_the_sheet_s():
    """None for norms and everything called bias; A and D do decay."""
    from mmengine.optim import build_optim_wrapper

    from mamba_dense.registry import MODELS

    register_all_modules()
    cfg = Config.fromfile(ROOT / 'configs/mamba_yolo/mamba-yolo-t_8xb64-300e_coco.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    cfg.optim_wrapper.type = 'OptimWrapper'
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    exempt = {
        names[id(group['params'][0])]
        for group in optimizer.param_groups
        if group['weight_decay'] == 0
    }
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    norms = {name for name in trained if name.rpartition('.')[0].split('.')[-1].startswith('norm')
             or '.out_norm.' in name}  # fmt: skip
    assert exempt == norms | {name for name in trained if 'bias' in name}
    assert any(name.endswith('.A_log') for name in trained - exempt)
