"""The classifier: modes, and refusals."""

import pytest
import torch

from mamba_dense.classification import ImageClassifier


def build(**options):
    backbone = dict(type='mamba_dense.VMamba', arch='nano', out_indices=(3,), output_norm=False)
    return ImageClassifier(
        backbone={**backbone, **options},
        head=dict(type='mamba_dense.NormPoolLinear', in_channels=256, num_classes=5),
    )


def test_modes():
    model = build().eval()
    x = torch.randn(2, 3, 40, 33)
    logits = model(x)
    assert tuple(logits.shape) == (2, 5)
    torch.testing.assert_close(model(x, mode='predict'), logits.softmax(-1))
    loss = model(x, torch.tensor([1, 4]), mode='loss')['loss']
    assert loss.requires_grad


def test_refusals():
    model = build()
    x = torch.randn(1, 3, 32, 32)
    with pytest.raises(ValueError, match="mode='logit'"):
        model(x, mode='logit')
    with pytest.raises(ValueError, match='labels'):
        model(x, mode='loss')
    with pytest.raises(ValueError, match='out_indices'):
        build(out_indices=(2, 3))
