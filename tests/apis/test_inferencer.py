"""From names and files to predictions of pictures."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg', reason='needs the extra seg')

from mamba_dense.apis import ImageError, Label, infer, inferencer, init_model, list_models, models
from mamba_dense.apis.images import write_png
from mamba_dense.apis.models import find_model
from mamba_dense.weights import zoo

NANO = 'vmamba-nano_upernet_nuclei-128x128'


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    return init_model(NANO, device='cpu')


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (70, 93, 3), np.uint8)


class TestModels:
    def test_names(self):
        names = list_models()
        assert NANO in names
        assert len(set(names)) == len(names)
        assert set(list_models('segmentation')) | set(list_models('classification')) <= set(names)

    @pytest.mark.parametrize('name', list_models('segmentation'))
    def test_every_published_segmentor_has_its_config(self, name):
        source = find_model(name)
        assert source.cfg.model.backbone.arch == zoo.get(name).arch
        assert source.weights == zoo.get(name).url

    @pytest.mark.parametrize(
        ('name', 'error', 'words'),
        [
            ('vmamba-nano_upernet', ValueError, NANO),
            ('configs/absent.py', FileNotFoundError, 'no such config'),
            ('vmamba-tiny_s1l8_mask-rcnn_coco', ValueError, 'vmamba-tiny_s1l8_mask-rcnn-1x_coco'),
        ],
    )
    def test_unknown(self, name, error, words):
        with pytest.raises(error, match=words):
            find_model(name)
        with pytest.raises(ValueError, match="task='depth'"):
            list_models('depth')

    def test_an_absent_framework_names_its_extra(self, monkeypatch):
        find = models.importlib.util.find_spec
        monkeypatch.setattr(
            models.importlib.util, 'find_spec', lambda name: find(name) if name != 'mmdet' else None
        )
        with pytest.raises(ModuleNotFoundError, match=r"network of mmdet.*'\.\[det\]'"):
            init_model('vmamba-tiny_s1l8_mask-rcnn-1x_coco')
        assert find_model(NANO).name == NANO

    def test_weights_of_our_own_come_back(self, tmp_path, model, image):
        torch.save({'state_dict': model.state_dict(), 'meta': {}}, tmp_path / 'w.pth')
        again = init_model(NANO, tmp_path / 'w.pth', 'cpu')
        want, got = infer(model, image, keep_scores=True), infer(again, image, keep_scores=True)
        assert np.array_equal(want.scores, got.scores)

    def test_weights_of_another_network(self, tmp_path):
        torch.save({'a.weight': torch.zeros(2)}, tmp_path / 'w.pth')
        with pytest.raises(ValueError, match=r'w\.pth'):
            init_model(NANO, tmp_path / 'w.pth', 'cpu')

    @pytest.mark.parametrize('device', ['cuda:99', 'toaster'])
    def test_absent_device(self, device):
        with pytest.raises(ValueError, match=device):
            init_model(NANO, device=device)

    def test_the_config_is_left_alone(self):
        cfg = find_model('vmamba-t-s1l8_upernet_8xb2-160k_ade20k-512x512').cfg
        before = cfg.model.backbone.init_cfg.checkpoint
        inferencer.without_pretraining(cfg.model)
        assert cfg.model.backbone.init_cfg.checkpoint == before

    def test_meta(self, model):
        assert model.dataset_meta['classes'] == ('background', 'nucleus')
        assert not model.training


class TestPredictions:
    def test_shapes_and_scores(self, model, image):
        result = infer(model, image, keep_scores=True)
        assert result.mask.shape == result.confidence.shape == (70, 93)
        assert result.mask.dtype == np.uint8
        assert np.allclose(result.scores.sum(axis=0), 1, atol=1e-5)
        assert np.array_equal(result.scores.argmax(axis=0), result.mask)
        assert infer(model, image).scores is None

    def test_file_and_array_agree(self, model, image, tmp_path):
        write_png(tmp_path / 'a.png', image)
        by_file, by_array = infer(model, tmp_path / 'a.png'), infer(model, image)
        assert np.array_equal(by_file.confidence, by_array.confidence)

    def test_the_training_pipeline_sees_the_same_pixels(self, model, image, tmp_path):
        """mmseg's own loader and ours give the network the same input."""
        from mmengine.dataset import Compose

        write_png(tmp_path / 'a.png', image)
        steps = [s for s in model.cfg.test_pipeline if s['type'] != 'LoadAnnotations']
        with inferencer._scope(model.cfg):
            data = Compose(steps)({'img_path': str(tmp_path / 'a.png')})
        sample = {'inputs': [data['inputs']], 'data_samples': [data['data_samples']]}
        with torch.inference_mode():
            want = model.test_step(sample)[0].pred_sem_seg.data[0].numpy()
        assert np.array_equal(infer(model, tmp_path / 'a.png').mask, want)

    def test_grey_16_bit_and_transparent(self, model, image):
        grey = image[:, :, 0]
        want = infer(model, np.stack([grey] * 3, axis=2)).confidence
        assert np.array_equal(infer(model, grey).confidence, want)
        assert np.array_equal(infer(model, grey.astype(np.uint16) * 257).confidence, want)
        assert np.array_equal(infer(model, np.stack([grey] * 4, axis=2)).confidence, want)
        floats = grey / np.float32(255)
        assert np.array_equal(infer(model, floats, value_range=(0, 1)).confidence, want)

    def test_a_list(self, model, image):
        results = infer(model, [image, image[:40]])
        assert [r.mask.shape for r in results] == [(70, 93), (40, 93)]

    @pytest.mark.parametrize('shape', [(1, 200, 3), (33, 47, 3), (64, 64, 1)])
    def test_odd_sizes(self, model, shape):
        assert infer(model, np.zeros(shape, np.uint8)).mask.shape == shape[:2]

    def test_refusals(self, model, image):
        with pytest.raises(ImageError, match='has 2 channels'):
            infer(model, image[:, :, :2])
        with pytest.raises(ImageError, match='no such file'):
            infer(model, 'absent.png')
        with pytest.raises(ValueError, match='keep_scores'):
            infer(model, image, tile=32, keep_scores=True)

    def test_memory(self, model, image, monkeypatch):
        monkeypatch.setattr(inferencer, 'free_memory', lambda: 1000)
        with pytest.raises(MemoryError, match=r'93x70 pixels.*tile=512'):
            infer(model, image)
        assert infer(model, image, tile=64).mask.shape == (70, 93)


class TestTiles:
    def test_one_tile_is_the_whole(self, model, image):
        whole, tiled = infer(model, image), infer(model, image, tile=128)
        assert np.allclose(whole.confidence, tiled.confidence, atol=1e-6)

    def test_many(self, model, image, tmp_path):
        seen = []
        on_tile = lambda done, total: seen.append((done, total))  # noqa: E731
        result = infer(model, image, tile=48, overlap=16, on_tile=on_tile)
        assert result.mask.shape == (70, 93)
        assert seen == [(i + 1, 6) for i in range(6)]
        np.save(tmp_path / 'a.npy', image)
        mapped = infer(model, tmp_path / 'a.npy', tile=48, overlap=16)
        assert np.array_equal(mapped.confidence, result.confidence)


def test_classifier(image):
    record = zoo.get('vmamba-tiny_s1l8_in1k-224x224')
    cfg = find_model(record.name).cfg
    cfg.model.backbone.arch = {'base': 'nano'}
    cfg.model.head.update(in_channels=256, num_classes=10)
    cfg.test_input.update(resize=64, crop=56)
    result = infer(init_model(cfg, device='cpu'), image)
    assert isinstance(result, Label)
    assert result.scores.shape == (10,)
    assert result.scores.sum() == pytest.approx(1, abs=1e-5)
    assert result.index == result.scores.argmax()
