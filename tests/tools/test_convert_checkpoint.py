"""tools/convert_checkpoint.py: authors' files to safetensors, strictly."""

import importlib.util

import pytest
import safetensors
import torch

from mamba_dense.backbones import VMamba
from mamba_dense.weights import load_weights

from ..weights import authors

NANO = VMamba.ARCHS['nano']


@pytest.fixture(scope='module')
def tool(root):
    spec = importlib.util.spec_from_file_location('convert', root / 'tools/convert_checkpoint.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'authors.pth'
    torch.save({'model': authors.classifier(NANO)}, path)
    return path


@pytest.mark.parametrize('model', ['vmamba/nano'])
def test_backbone(tool, source, tmp_path, model, capsys):
    path = tmp_path / 'ours.safetensors'
    assert tool.main([str(source), str(path), '--model', model]) == 0
    assert 'ours.safetensors: ' in capsys.readouterr().out
    with safetensors.safe_open(path, 'pt') as file:
        assert file.metadata()['layout'] == 'mamba_dense'
        assert file.metadata()['source'] == 'authors.pth'
        assert not any(key.startswith(('out_norms', 'head', 'classifier')) for key in file.keys())
    one, two = VMamba('nano'), VMamba('nano')
    load_weights(one, source, keymap=one.AUTHOR_KEYS)
    load_weights(two, path, keymap=two.AUTHOR_KEYS)
    ours = two.state_dict()
    assert all(torch.equal(ours[key], value) for key, value in one.state_dict().items())


def test_whole_network_of_a_config(tool, source, tmp_path):
    config = tmp_path / 'classifier.py'
    config.write_text(
        "model = dict(type='mamba_dense.ImageClassifier', backbone=dict(type='mamba_dense.VMamba', "
        "arch='nano', out_indices=(3,), output_norm=False), head=dict("
        "type='mamba_dense.NormPoolLinear', in_channels=256, num_classes=10))\n"
    )
    path = tmp_path / 'ours.safetensors'
    assert tool.main([str(source), str(path), '--model', str(config)]) == 0
    with safetensors.safe_open(path, 'pt') as file:
        head = authors.classifier(NANO)['classifier.head.weight']
        assert torch.equal(file.get_tensor('head.fc.weight'), head)


@pytest.mark.parametrize(
    ('model', 'words'),
    [
        ('nano', 'variant of several families; give one of'),
        ('vmamba/nanoo', "'nanoo' is no variant of vmamba; known: vanilla_tiny"),
        ('vanilla_tiny', 'does not fit VMamba'),
        ('nothing', 'is neither a config file nor a known model'),
        (None, '--model is missing'),
    ],
)
def test_what_cannot_be_converted(tool, source, tmp_path, model, words, capsys):
    path = tmp_path / 'ours.safetensors'
    options = ['--model', model] if model else []
    assert tool.main([str(source), str(path), *options]) == 1
    assert words in capsys.readouterr().err
    assert not path.exists()


def test_another_ending(tool, source, tmp_path, capsys):
    assert tool.main([str(source), str(tmp_path / 'ours.pth'), '--model', 'nano']) == 1
    assert 'safetensors' in capsys.readouterr().err
