"""Staged backbones over channel-first maps, of images and of volumes."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ..bricks import check_spatial_dims
from .base import StagedBackbone


class ChannelFirstBackbone(StagedBackbone):
    """A staged backbone of convolutions: its parts take and give (B, C, *spatial).

    What the hooks of `StagedBackbone` call (B, H, W, C) is (B, C, *spatial) here; the features have
    no norms of their own.

    Args:
        spatial_dims: 2 for images (B, C, H, W), 3 for volumes (B, C, Z, H, W).
        arch, in_channels, out_indices, frozen_stages, drop_path_rate, with_cp, norm_eval, init_cfg:
            see `StagedBackbone`.

    Raises:
        ValueError: a value above is not allowed; the message lists what is.
    """

    OUTPUT_NORM = False

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        *,
        spatial_dims: int = 2,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        drop_path_rate: float | None = None,
        with_cp: bool = False,
        norm_eval: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        self.spatial_dims = check_spatial_dims(spatial_dims)  # the hooks, called below, read it
        super().__init__(
            arch,
            in_channels=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )

    def enter(self, x: Tensor) -> Tensor:
        return x

    def leave(self, x: Tensor) -> Tensor:
        return x

    def _init_parameters(self) -> None:
        """Every layer keeps torch's own start."""
