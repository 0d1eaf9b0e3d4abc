"""Heads of the published classifiers: from a backbone's features to logits."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..registry import MODELS


@MODELS.register_module()
class NormPoolLinear(nn.Module):
    """LayerNorm over the channels, global average pool, linear (VMamba, Swin).

    Args:
        in_channels: channels of the feature.
        num_classes: length of the logits.

    Raises:
        ValueError: one of them is below one.
    """

    def __init__(self, in_channels: int, num_classes: int = 1000):
        super().__init__()
        if in_channels < 1 or num_classes < 1:
            raise ValueError(
                f'in_channels={in_channels} and num_classes={num_classes} must be at least 1.'
            )
        self.norm = nn.LayerNorm(in_channels)
        self.fc = nn.Linear(in_channels, num_classes)
        nn.init.trunc_normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Feature (B, C, H, W) to logits (B, num_classes)."""
        x = self.norm(x.permute(0, 2, 3, 1))  # (B, H, W, C)
        return self.fc(x.mean(dim=(1, 2)))


class FusionBranch(nn.Module):
    """A weighted sum of linear classifiers, one for each pooled vector; the weights sum to one.

    Args:
        in_channels: widths of the vectors.
        num_classes: length of the logits.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int):
        super().__init__()
        self.weights = nn.Parameter(torch.ones(len(in_channels)))
        self.heads = nn.ModuleList(nn.Linear(width, num_classes) for width in in_channels)
        for head in self.heads:
            nn.init.trunc_normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)

    def forward(self, pooled: Sequence[Tensor]) -> Tensor:
        """Vectors (B, C_i) to logits (B, num_classes)."""
        logits = torch.stack([head(x) for head, x in zip(self.heads, pooled, strict=True)])
        return torch.einsum('n,nbk->bk', self.weights.softmax(dim=0), logits)


@MODELS.register_module()
class HiddenStateFusion(nn.Module):
    """Classifiers of every stage's hidden states and of the last map, summed (EfficientViM).

    Args:
        in_channels: width of each stage.
        num_classes: length of the logits.
        distillation: whether a second branch learns from a teacher; logits are then the mean of
            both, and labels (B, 2) are the truth and the teacher's class.

    Raises:
        ValueError: a width or `num_classes` is below one.
    """

    # what the classifier hands over: all the backbone returns, maps and then hidden states
    every_feature = True

    def __init__(
        self, in_channels: Sequence[int], num_classes: int = 1000, *, distillation: bool = False
    ):
        super().__init__()
        if min(*in_channels, num_classes) < 1:
            raise ValueError(
                f'in_channels={tuple(in_channels)} and num_classes={num_classes} must be at '
                'least 1.'
            )
        widths = [*in_channels, in_channels[-1]]
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.branches = nn.ModuleList(
            FusionBranch(widths, num_classes) for _ in range(2 if distillation else 1)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i), then hidden states (B, N_i, C_i), to logits (B, num_classes)."""
        return torch.stack(self.logits(features)).mean(dim=0)

    def logits(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Each branch's logits (B, num_classes), of the same features as `forward` takes."""
        stages = len(self.norms) - 1
        last = features[stages - 1].flatten(2).mT  # (B, L, C)
        tokens = [*features[stages:], last]
        pooled = [norm(x).mean(dim=1) for norm, x in zip(self.norms, tokens, strict=True)]
        return [branch(pooled) for branch in self.branches]


@MODELS.register_module()
class PoolNormLinear(nn.Module):
    """Global average pool, BatchNorm, linear (MobileMamba); with a second pair for distillation.

    Args:
        in_channels: channels of the feature.
        num_classes: length of the logits.
        distilled: whether a second norm and linear layer learn from a teacher beside the first.

    Raises:
        ValueError: one of the sizes is below one.
    """

    def __init__(self, in_channels: int, num_classes: int = 1000, *, distilled: bool = False):
        super().__init__()
        if in_channels < 1 or num_classes < 1:
            raise ValueError(
                f'in_channels={in_channels} and num_classes={num_classes} must be at least 1.'
            )
        self.norm = nn.BatchNorm1d(in_channels)
        self.fc = nn.Linear(in_channels, num_classes)
        self.distilled_norm = nn.BatchNorm1d(in_channels) if distilled else None
        self.distilled_fc = nn.Linear(in_channels, num_classes) if distilled else None
        for layer in (self.fc, self.distilled_fc) if distilled else (self.fc,):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Feature (B, C, H, W) to logits (B, num_classes).

        With distillation: both layers' logits while training, their mean in evaluation.
        """
        x = x.mean(dim=(2, 3))  # (B, C)
        logits = self.fc(self.norm(x))
        if self.distilled_fc is None:
            return logits
        distilled = self.distilled_fc(self.distilled_norm(x))
        return (logits, distilled) if self.training else (logits + distilled) / 2


@MODELS.register_module()
class PoolNormMlp(nn.Module):
    """Global average pool, LayerNorm, then linear, GELU, LayerNorm and linear (MambaOut).

    Args:
        in_channels: channels of the feature.
        num_classes: length of the logits.
        ratio: hidden width over `in_channels`.

    Raises:
        ValueError: one of them is below one.
    """

    def __init__(self, in_channels: int, num_classes: int = 1000, *, ratio: int = 4):
        super().__init__()
        if min(in_channels, num_classes, ratio) < 1:
            raise ValueError(
                f'in_channels={in_channels}, num_classes={num_classes} and ratio={ratio} must be '
                'at least 1.'
            )
        hidden = ratio * in_channels
        self.pool_norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.fc1 = nn.Linear(in_channels, hidden)
        self.act = nn.GELU()
        self.norm = nn.LayerNorm(hidden, eps=1e-6)
        self.fc2 = nn.Linear(hidden, num_classes)
        for layer in (self.fc1, self.fc2):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Feature (B, C, H, W) to logits (B, num_classes)."""
        x = self.pool_norm(x.mean(dim=(2, 3)))  # (B, C)
        return self.fc2(self.norm(self.act(self.fc1(x))))


@MODELS.register_module()
class TokenLinear(nn.Module):
    """Linear over a class token that the backbone has normed (Vim).

    Args:
        in_channels: width of the token.
        num_classes: length of the logits.

    Raises:
        ValueError: one of them is below one.
    """

    def __init__(self, in_channels: int, num_classes: int = 1000):
        super().__init__()
        if in_channels < 1 or num_classes < 1:
            raise ValueError(
                f'in_channels={in_channels} and num_classes={num_classes} must be at least 1.'
            )
        self.fc = nn.Linear(in_channels, num_classes)
        nn.init.trunc_normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Token (B, C, 1, 1) to logits (B, num_classes)."""
        return self.fc(x.flatten(1))
