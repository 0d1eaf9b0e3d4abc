"""Mamba-YOLO: counts and costs of both generations, parts with other parts, what it predicts."""

import pytest
import torch
from mmengine.config import Config
from torch import nn

pytest.importorskip('mmdet', reason='needs the extra det')

from mmdet.utils import register_all_modules
from mmengine.structures import InstanceData

from mamba_dense.detection import (
    CompleteIoULoss,
    InsideTaskAlignedAssigner,
    MambaYOLOHead,
    MambaYOLOPAFPN,
)
from mamba_dense.detection.loss import complete_iou
from mamba_dense.detection.postprocess import select, to_original
from mamba_dense.registry import MODELS
from mamba_dense.weights.load import load_model_weights
from tests.detection.mamba_yolo_cases import ROOT, config, image_batch

# config, parameters, GFLOPs at 640 as the sheet has them (None: it has none)
PUBLISHED = [
    ('mamba-yolo-t_8xb64-300e', 6131704, 14.27),
    ('mamba-yolo-b_8xb64-300e', 21828000, 49.77),
    ('mamba-yolo-l_8xb64-300e', 57631024, 156.21),
    ('mamba-yolo-aaai-t_8xb64-300e', 5442612, 13.18),
    ('mamba-yolo-aaai-b_8xb64-300e', 19168164, 45.47),
    ('mamba-yolo-aaai-l_8xb64-300e', 49227952, 142.13),
    ('mamba-yolo-mask-n_8xb16-300e', 6385048, None),
    ('mamba-yolo-mask-s_8xb16-300e', 22483648, None),
]


def build(cfg):
    register_all_modules()
    return MODELS.build(cfg)


def cost(model, size):
    """Operations as the sheet's figures count them.

    Two for each product of a convolution and, as the counter does that the authors' framework uses,
    eight for each value that a norm passes; the scans' own products are not counted.
    """
    counted = []

    def count(module, given, result):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            weight = module.weight
            counted.append(2 * weight.numel() * (result.numel() // len(weight)))
        else:
            counted.append(8 * result.numel())

    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm)
    handles = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, kinds)]
    model(torch.empty(1, 3, size, size, device='meta'))
    for handle in handles:
        handle.remove()
    return sum(counted)


@pytest.mark.parametrize(('name', 'parameters', 'gflops'), PUBLISHED, ids=lambda value: str(value))
def test_parameters_and_cost_are_the_sheet_s(name, parameters, gflops):
    cfg = Config.fromfile(ROOT / f'configs/mamba_yolo/{name}_coco.py')
    with torch.device('meta'):
        model = build(cfg.model).eval()
    assert sum(p.numel() for p in model.parameters()) == parameters
    if gflops is not None:
        assert cost(model, 640) / 1e9 == pytest.approx(gflops, rel=0.01)


@pytest.mark.parametrize('size', [(64, 96), (65, 97), (50, 33)], ids=str)
def test_neck_takes_any_grid(size):
    model = build(config(masks=False)).eval()
    features = model.extract_feat(torch.randn(1, 3, *size))
    inputs = model.backbone(torch.zeros(1, 3, *size))
    assert [f.shape for f in features] == [x.shape for x in inputs]
    assert all(f.is_contiguous() for f in features)


def test_parts_work_with_mmdet_s():
    """Our neck and head behind a ResNet, our backbone before mmdet's FPN and head."""
    cfg = config(masks=False)
    cfg['type'] = 'SingleStageDetector'
    cfg['backbone'] = dict(type='ResNet', depth=18, base_channels=16, out_indices=(1, 2, 3))
    model = build({**cfg, '_scope_': 'mmdet'})
    assert isinstance(model.neck, MambaYOLOPAFPN) and isinstance(model.bbox_head, MambaYOLOHead)
    losses = model.loss(*image_batch(1))
    assert all(torch.isfinite(value) for value in losses.values())
    other = Config.fromfile(ROOT / 'configs/_base_/models/rtmdet_nano.py').model
    other.backbone = config(masks=False)['backbone']
    other.neck.in_channels = [32, 64, 128]
    other.bbox_head.num_classes = 2
    model = build({**other, '_scope_': 'mmdet'})
    assert {'loss_cls', 'loss_bbox'} <= set(model.loss(*image_batch(1)))


@pytest.mark.parametrize('masks', [False, True], ids=['boxes', 'masks'])
def test_trains_and_predicts(masks):
    """Each trained parameter gets a gradient; predictions lie in the picture that was read."""
    torch.manual_seed(0)
    model = build(config(masks=masks, score_thr=0.0)).train()
    images, samples = image_batch(2, masks=masks)
    losses = model.loss(images, samples)
    assert set(losses) == {'loss_cls', 'loss_bbox', 'loss_dfl'} | (
        {'loss_mask'} if masks else set()
    )
    sum(losses.values()).backward()
    for name, p in model.named_parameters():
        assert (p.grad is not None and torch.isfinite(p.grad).all()) == p.requires_grad, name
    with torch.no_grad():
        found = model.eval().predict(images, samples, rescale=True)
    for sample in found:
        got = sample.pred_instances
        height, width = sample.ori_shape
        assert 0 < len(got) <= 300
        assert (got.bboxes >= 0).all() and (got.bboxes[:, 0::2] <= width).all()
        assert (got.bboxes[:, 1::2] <= height).all()
        assert (got.scores[:-1] >= got.scores[1:]).all()
        if masks:
            assert got.masks.shape == (len(got), height, width)
            assert got.masks.dtype == torch.bool


def test_batch_does_not_mix():
    model = build(config(masks=False, score_thr=0.0)).eval()
    images, samples = image_batch(2)
    with torch.no_grad():
        both = model.predict(images, samples, rescale=False)[1].pred_instances
        alone = model.predict(images[1:], samples[1:], rescale=False)[0].pred_instances
    torch.testing.assert_close(both.scores, alone.scores, rtol=1e-4, atol=1e-5)


def test_an_image_without_objects_has_a_class_loss_alone():
    model = build(config(masks=True)).train()
    images, samples = image_batch(1, masks=True, objects=0)
    losses = model.loss(images, samples)
    assert losses['loss_cls'] > 0
    assert losses['loss_bbox'] == losses['loss_dfl'] == losses['loss_mask'] == 0
    sum(losses.values()).backward()


def test_loss_grows_with_the_batch():
    """Sums are multiplied by the number of images; target scores below 1 in all divide nothing."""
    model = build(config(masks=False)).eval()
    images, samples = image_batch(1)
    one = model.loss(images, samples)
    two = model.loss(images.repeat(2, 1, 1, 1), [*samples, *image_batch(1)[1]])
    for name, value in one.items():
        torch.testing.assert_close(two[name], 4 * value)


def test_authors_file_is_read(tmp_path):
    """Keys of the authors' layout, as a training program wraps them, fill the whole detector."""
    from mamba_dense.reference.record import read_record

    record = read_record(ROOT / 'tests/golden/mamba_yolo/mamba_yolo_t.json')
    weights = {name: value.float() for name, value in record.weights().items()}
    torch.save({'model': weights}, tmp_path / 'best.pt')
    cfg = Config.fromfile(ROOT / 'configs/mamba_yolo/mamba-yolo-t_8xb64-300e_coco.py')
    model = build(cfg.model)
    report = load_model_weights(model, tmp_path / 'best.pt')
    assert len(report.loaded) == len(weights) and not report.fresh
    stem = model.backbone.stem.conv.weight
    assert torch.equal(stem, weights['model.0.conv.0.weight'])
    # the backbone alone takes its part of the same file
    alone = MODELS.build({**cfg.model.backbone, 'init_cfg': dict(
        type='Pretrained', checkpoint=str(tmp_path / 'best.pt'))})  # fmt: skip
    alone.init_weights()
    assert torch.equal(alone.stages[3].tail.conv1.conv.weight, weights['model.8.cv1.conv.weight'])


class TestCompleteIoU:
    def test_equal_boxes(self):
        boxes = torch.tensor([[10.0, 20.0, 50.0, 40.0]])
        assert complete_iou(boxes, boxes).item() == pytest.approx(1, abs=1e-5)
        assert CompleteIoULoss(loss_weight=2)(boxes, boxes).item() == pytest.approx(0, abs=1e-5)

    def test_apart(self):
        """Boxes that do not meet still tell how far they are."""
        box = torch.tensor([0.0, 0.0, 10.0, 10.0])
        near, far = (complete_iou(box, box + shift) for shift in (20, 200))
        assert far < near < 0

    def test_alpha_has_no_gradient(self):
        torch.manual_seed(0)
        boxes = torch.rand(5, 4, dtype=torch.float64)
        boxes[:, 2:] += 1
        boxes.requires_grad_()
        other = torch.tensor([0.2, 0.1, 1.7, 1.2], dtype=torch.float64)
        complete_iou(boxes, other).sum().backward()
        assert torch.isfinite(boxes.grad).all()


class TestAssigner:
    def assign(self, boxes, scores, objects, labels, **options):
        points = torch.tensor([[x + 4.0, y + 4.0] for y in (0, 8) for x in (0, 8, 16)])
        found = InstanceData(priors=points, bboxes=boxes, scores=scores)
        gt = InstanceData(bboxes=objects, labels=labels)
        return InsideTaskAlignedAssigner(**options).assign(found, gt)

    def test_only_points_inside_and_at_most_topk(self):
        boxes = torch.tensor([[0.0, 0.0, 16.0, 16.0]]).repeat(6, 1)
        scores = torch.linspace(0.1, 0.6, 6)[:, None]
        objects = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
        result = self.assign(boxes, scores, objects, torch.tensor([0]), topk=2)
        # points 2 and 5 lie outside, though 5 has the best score
        assert result.gt_inds.tolist() == [0, 0, 0, 1, 1, 0]
        assert result.labels.tolist() == [-1, -1, -1, 0, 0, -1]
        goals = result.get_extra_property('target_scores')
        assert goals.max() == pytest.approx(1, abs=1e-4) and (goals[[0, 1, 2, 5]] == 0).all()

    def test_no_objects(self):
        none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
        result = self.assign(torch.rand(6, 4), torch.rand(6, 2), *none)
        assert result.num_gts == 0 and not result.gt_inds.any()

    def test_bad_topk_is_named(self):
        with pytest.raises(ValueError, match='topk=0'):
            InsideTaskAlignedAssigner(0)


class TestSelect:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [30, 30, 40, 40]])
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.7], [0.0, 0.6]])

    def test_classes_do_not_suppress_each_other(self):
        _, scores, labels, points = select(self.boxes, self.scores, score_thr=0.2)
        assert labels.tolist() == [0, 1, 1]
        assert points.tolist() == [0, 1, 2]
        assert scores.tolist() == pytest.approx([0.9, 0.7, 0.6])

    def test_best_class_alone(self):
        _, _, labels, points = select(self.boxes, self.scores, score_thr=0.2, multi_label=False)
        assert labels.tolist() == [0, 1] and points.tolist() == [0, 2]

    def test_nothing_found(self):
        boxes, scores, labels, points = select(self.boxes, self.scores, score_thr=0.95)
        assert boxes.shape == (0, 4) and len(scores) == len(labels) == len(points) == 0

    def test_negative_corners_keep_classes_apart(self):
        boxes = torch.tensor([[-5.0, -5.0, 5.0, 5.0], [-5.0, -5.0, 5.0, 5.0]])
        scores = torch.tensor([[0.9, 0.0], [0.0, 0.8]])
        assert len(select(boxes, scores, score_thr=0.1)[0]) == 2

    def test_back_to_the_picture(self):
        meta = dict(scale_factor=(2.0, 2.0), ori_shape=(20, 30), pad_param=(4, 4, 2, 2))
        boxes = to_original(torch.tensor([[2.0, 4.0, 12.0, 24.0], [0.0, 0.0, 99.0, 99.0]]), meta)
        assert boxes.tolist() == [[0, 0, 5, 10], [0, 0, 30, 20]]


@pytest.mark.parametrize(
    ('kind', 'options', 'words'),
    [
        (MambaYOLOHead, dict(num_classes=2, in_channels=(8, 16)), 'strides'),
        (MambaYOLOHead, dict(num_classes=2, in_channels=(8,) * 3, test_cfg=dict(thr=1)), 'thr'),
        (MambaYOLOPAFPN, dict(in_channels=(8, 16), block='c2f'), 'xss, odss'),
        (MambaYOLOPAFPN, dict(in_channels=(8,)), 'two levels'),
    ],
    ids=['levels', 'test_cfg', 'block', 'neck'],
)
def test_bad_options_are_named(kind, options, words):
    with pytest.raises(ValueError, match=words):
        kind(**options)
