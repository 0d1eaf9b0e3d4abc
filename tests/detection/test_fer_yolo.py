"""FER-YOLO-Mamba: counts of the released network, the neck in a detector, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mamba_dense.registry import DATASETS, MODELS

pytest.importorskip('mmdet', reason='needs the extra det')

from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from PIL import Image

from mamba_dense.detection import FERYOLOPAFPN
from mamba_dense.detection.fer_yolo import DualBranchBlock, ThreeLayerGate
from mamba_dense.detection.prepare import write_folder

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/fer_yolo_mamba/fer-yolo-mamba-s_1xb16-300e_sfew-320x320.py'


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def detector():
    cfg = Config.fromfile(CONFIG)
    init_default_scope('mmdet')
    return MODELS.build(cfg.model)


def test_parameters_equal_the_released_code():
    with torch.device('meta'):
        model = detector()
    neck = model.neck
    stems = count(neck.out_convs)
    assert count(model) == 10_256_772
    assert count(model.backbone) == 4_212_672
    assert [count(m) for m in (neck.merge_p4, neck.merge_n5)] == [1_066_816] * 2
    assert [count(m) for m in (neck.merge_p3, neck.merge_n4)] == [319_888] * 2
    assert (count(model.bbox_head) + stems, stems) == (1_892_644, 115_456)
    assert count(neck.lateral) == 131_584
    assert [count(m) for m in (neck.reduce, neck.out_p3, neck.down_p3, neck.down_p4)] == [
        65_792,
        295_168,
        295_168,
        590_336,
    ]


def sample(boxes, size=(64, 96)):
    found = DetDataSample()
    labels = torch.arange(len(boxes)) % 7
    found.gt_instances = InstanceData(bboxes=torch.tensor(boxes).view(-1, 4), labels=labels)
    found.set_metainfo(
        {'img_shape': size, 'ori_shape': size, 'batch_input_shape': size, 'scale_factor': (1, 1)}
    )
    return found


def test_trains_a_step_and_predicts_on_a_rectangle():
    torch.manual_seed(0)
    model = detector()
    model.init_weights()
    samples = [sample([[10.0, 12.0, 50.0, 60.0]]), sample([])]
    losses = model.loss(torch.randn(2, 3, 64, 96), samples)
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    with torch.no_grad():
        found = model.eval().predict(torch.randn(1, 3, 64, 96), samples[:1])
    assert found[0].pred_instances.bboxes.shape[1] == 4


def test_strides_are_those_of_the_head():
    neck = FERYOLOPAFPN((64, 128, 256), 32).eval()
    maps = [torch.randn(1, 64 << i, 24 >> i, 16 >> i) for i in range(3)]
    sizes = [tuple(y.shape) for y in neck(maps)]
    assert sizes == [(1, 32, 12, 8), (1, 32, 12, 8), (1, 32, 6, 4)]


def test_refusals():
    with pytest.raises(ValueError, match=r'\(128, 256, 256\) must be three widths that double'):
        FERYOLOPAFPN((128, 256, 256))
    with pytest.raises(ValueError, match='channels=30 must be a multiple of 4'):
        DualBranchBlock(30)
    with pytest.raises(ValueError, match='use at least 16 channels'):
        ThreeLayerGate(8)
    maps = [torch.zeros(1, 64 << i, *size) for i, size in enumerate([(9, 8), (5, 4), (3, 2)])]
    with pytest.raises(ValueError, match='must be a multiple of 32'):
        FERYOLOPAFPN((64, 128, 256))(maps)


def test_multiply_adds_of_convolutions_and_linears():
    """The sheet's 2.98 G at 320x320; the authors' counter sees no projection of the scans."""
    with torch.device('meta'):
        model = detector().eval()
    found = []

    def listen(module, _given, result):
        weights = module.weight.numel() // module.weight.shape[0]
        found.append(result.numel() * weights)

    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(listen)
    with torch.no_grad():
        model._forward(torch.zeros(1, 3, 320, 320, device='meta'))
    assert sum(found) == pytest.approx(2.98e9, rel=0.01)


VOC = """<annotation><object><name>{name}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>
<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object></annotation>"""


def test_faces_from_voc_files_train_with_mosaic_and_without(tmp_path):
    """Pascal VOC to COCO, both pipelines of the config, the labels in the published order."""
    images, labels = tmp_path / 'images', tmp_path / 'xml'
    images.mkdir()
    labels.mkdir()
    rng = np.random.default_rng(0)
    cfg = Config.fromfile(CONFIG)
    init_default_scope('mmdet')
    classes = cfg.metainfo.classes
    for i, name in enumerate(classes):
        picture = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(picture).save(images / f'face{i}.png')
        box = (20 + i, 10, 80, 70 + i)
        (labels / f'face{i}.xml').write_text(VOC.format(name=name, box=box))
    write_folder(images, labels, tmp_path / 'data', form='voc', classes=classes)
    single = cfg.train_dataloader.dataset.dataset
    single.data_root = f'{tmp_path}/data/'
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    for item in (dataset[0], dataset.late[0]):
        assert item['inputs'].shape == (3, 320, 320)
        found = item['data_samples'].gt_instances
        assert ((0 <= found.labels) & (found.labels < 7)).all()
    counts = {len(dataset[i % 6]['data_samples'].gt_instances) for i in range(24)}
    assert max(counts) > 1, 'mosaic shows several faces'
    assert {len(dataset.late[i]['data_samples'].gt_instances) for i in range(6)} <= {0, 1}
    assert dataset.metainfo['classes'] == classes
