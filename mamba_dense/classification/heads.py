"""Heads of the published classifiers: from a backbone's last feature to logits."""

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
