"""The records of published files."""

import pytest

from mamba_dense.weights.zoo import FOLDERS, WEIGHTS, get, list_weights


def test_names_and_addresses_are_unique():
    assert len({file.url for file in WEIGHTS.values()}) == len(WEIGHTS)
    assert all(name == file.name for name, file in WEIGHTS.items())


def test_every_record_is_whole():
    for file in WEIGHTS.values():
        assert file.url.startswith('https://') and file.url.endswith('.pth')
        assert file.licence and file.metrics and file.first_conv and file.classifier
        assert all(0 < metric.value < 100 and metric.source for metric in file.metrics)
        assert file.parameters > 0
        assert file.task in ('classification', 'segmentation', 'detection')


def test_arch_is_one_that_is_built():
    backbones = pytest.importorskip('mamba_dense.backbones')
    for file in WEIGHTS.values():
        assert file.arch in getattr(backbones, file.backbone.split('.')[-1]).ARCHS


def test_folders_name_what_they_start():
    backbones = pytest.importorskip('mamba_dense.backbones')
    for name, folder in FOLDERS.items():
        assert name == folder.name and name not in WEIGHTS
        assert folder.arch in getattr(backbones, folder.backbone.split('.')[-1]).ARCHS
        assert folder.url.startswith('https://') and folder.licence and folder.metrics
        with pytest.raises(ValueError, match='by hand'):
            get(name)


def test_lists_are_narrowed():
    assert len(list_weights(family='vmamba')) == 29
    assert len(list_weights(family='vmamba', task='classification')) == 9
    assert {file.task for file in list_weights(arch='tiny_s1l8')} == {
        'classification',
        'segmentation',
        'detection',
    }
    assert not list_weights(family='none')


def test_published_figures():
    file = get('vmamba-tiny_s1l8_in1k-224x224')
    assert file.metric == 'top-1 82.6'
    assert file.url.endswith('/%23v2cls/vssm1_tiny_0230s_ckpt_epoch_264.pth')
    assert (
        get('vmamba-base_s2l15_upernet_ade20k-512x512').metric == 'mIoU 51, mIoU multi-scale 51.6'
    )


def test_an_unknown_name_lists_its_neighbours():
    with pytest.raises(ValueError, match=r"'vmamba-tiny_s1l9' .* nearest: vmamba-tiny_s1l8"):
        get('vmamba-tiny_s1l9')
    with pytest.raises(ValueError, match='nearest'):
        get('zzz')


def test_where_to_put_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv('MAMBA_DENSE_CACHE', str(tmp_path))
    assert get('vmamba-tiny_s1l8_in1k-224x224').cached.startswith(str(tmp_path))
