"""ChangeMamba's losses: cross entropy, Lovasz-softmax and what unchanged places have in common.

Each loss gives its parts by name and holds their weights (arXiv 2404.03425, section III-D). Labels
of 255 count nowhere; a part without any labelled pixel is 0, where the authors' code gives NaN or
an empty tensor.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IGNORE = 255


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy over the labelled pixels, 0 if there are none.

    Args:
        logits: (B, classes, H, W).
        labels: class numbers (B, H, W); 255 is left out.
    """
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction='sum')
    return total / (labels != IGNORE).sum().clamp(min=1)


def lovasz_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """The Lovasz extension of the Jaccard loss (arXiv 1705.08790, section 3), over the whole batch.

    The mean over the classes that the labels hold; 0 if there are none.

    Args:
        logits: (B, classes, H, W).
        labels: class numbers (B, H, W); 255 is left out.
    """
    labels = labels.flatten()
    keep = labels != IGNORE
    probabilities = logits.softmax(dim=1).movedim(1, -1).flatten(0, -2)[keep]  # (P, classes)
    labels = labels[keep]
    losses = [
        _lovasz_of_class((labels == c).to(probabilities.dtype), probabilities[:, c])
        for c in labels.unique().tolist()
    ]
    return torch.stack(losses).mean() if losses else logits.sum() * 0.0


def _lovasz_of_class(truth: Tensor, probability: Tensor) -> Tensor:
    """Errors of one class, largest first, weighted by the steps of the Jaccard loss; (P,) each."""
    errors, order = (truth - probability).abs().sort(descending=True)
    truth = truth[order]
    intersection = truth.sum() - truth.cumsum(0)
    union = truth.sum() + (1 - truth).cumsum(0)
    jaccard = 1 - intersection / union
    steps = torch.cat((jaccard[:1], jaccard.diff()))
    return errors @ steps


def similarity(pre: Tensor, post: Tensor, labels: Tensor) -> Tensor:
    """How far the land cover of two dates differs where the first has no label: nothing changed.

    Args:
        pre, post: logits (B, classes, H, W).
        labels: of the first date (B, H, W); the pixels of 255 are compared.

    Returns:
        The mean over *all* entries of the squared difference of the probabilities.
    """
    same = (labels == IGNORE).unsqueeze(1).to(pre.dtype)  # (B, 1, H, W)
    return F.mse_loss(same * pre.softmax(dim=1), same * post.softmax(dim=1))


class ChangeLoss(nn.Module):
    """A weighted sum of named parts.

    Args:
        weights: of parts whose weight differs from the published one.

    Raises:
        ValueError: a part that does not exist.
    """

    WEIGHTS: ClassVar[Mapping[str, float]]

    def __init__(self, weights: Mapping[str, float] | None = None):
        super().__init__()
        unknown = sorted(set(weights or {}) - set(self.WEIGHTS))
        if unknown:
            raise ValueError(
                f'{type(self).__name__} has no parts {unknown}; its parts: '
                f'{", ".join(self.WEIGHTS)}.'
            )
        self.weights = {**self.WEIGHTS, **(weights or {})}

    @abstractmethod
    def parts(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict:
        """The parts without their weights, by name.

        Args:
            logits: of each output, (B, classes, H, W).
            labels: of each output, (B, H, W).
        """
        raise TypeError(f'{type(self).__name__} does not define its parts.')

    def forward(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict:
        """The weighted parts as `loss_NAME`, which mmengine adds up; arguments as of `parts`."""
        parts = self.parts(logits, labels)
        return {f'loss_{name}': self.weights[name] * value for name, value in parts.items()}


class BinaryChangeLoss(ChangeLoss):
    """Of the output `change`: cross entropy and 0.75 Lovasz."""

    WEIGHTS: ClassVar = {'ce': 1.0, 'lovasz': 0.75}

    def parts(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict:
        """See `ChangeLoss.parts`."""
        return _pair('', logits['change'], labels['change'])


class SemanticChangeLoss(ChangeLoss):
    """Of the outputs `change`, `pre` and `post`.

    CE + 0.75 Lovasz on the changes; half of that on the land cover of each date, where it changed;
    a quarter of the `similarity` where it did not. Land-cover labels of 0 (unchanged) are 255 here.
    """

    WEIGHTS: ClassVar = {
        'ce_change': 1.0,
        'lovasz_change': 0.75,
        'ce_pre': 0.5,
        'lovasz_pre': 0.375,
        'ce_post': 0.5,
        'lovasz_post': 0.375,
        'similarity': 0.25,
    }

    def parts(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict:
        """See `ChangeLoss.parts`."""
        cover = {name: without_background(labels[name]) for name in ('pre', 'post')}
        return {
            **_pair('_change', logits['change'], labels['change']),
            **_pair('_pre', logits['pre'], cover['pre']),
            **_pair('_post', logits['post'], cover['post']),
            'similarity': similarity(logits['pre'], logits['post'], cover['pre']),
        }


class DamageLoss(ChangeLoss):
    """Of the outputs `building` and `damage`.

    CE + 0.5 Lovasz on the buildings, CE + 0.75 Lovasz on their damage; damage labels of 0 (no
    building) are 255 here. A batch without any damage label trains the buildings alone; the authors
    skip it.
    """

    WEIGHTS: ClassVar = {
        'ce_building': 1.0,
        'lovasz_building': 0.5,
        'ce_damage': 1.0,
        'lovasz_damage': 0.75,
    }

    def parts(self, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict:
        """See `ChangeLoss.parts`."""
        return {
            **_pair('_building', logits['building'], labels['building']),
            **_pair('_damage', logits['damage'], without_background(labels['damage'])),
        }


def without_background(labels: Tensor) -> Tensor:
    """Labels of 0 turned into 255, which counts nowhere."""
    return labels.masked_fill(labels == 0, IGNORE)


def _pair(suffix: str, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return {
        f'ce{suffix}': cross_entropy(logits, labels),
        f'lovasz{suffix}': lovasz_softmax(logits, labels),
    }
