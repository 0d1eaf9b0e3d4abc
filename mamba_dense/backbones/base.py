"""What backbones share: variants, stages, output norms, freezing, checkpointing, loading."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import partial
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule
from mmengine.model.weight_init import update_init_info
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..bricks import batch_norms, held_statistics
from ..weights import KeyMap, load_weights


def resolve_arch(family: str, archs: Mapping[str, Any], arch: str | Mapping[str, Any]) -> Any:
    """The `Arch` that a config means by `arch`.

    Args:
        family: name of the backbone, for the error.
        archs: the family's variants by name.
        arch: a variant's name, or a mapping of `Arch` fields; its key `base` names the variant
            that the other keys override.

    Raises:
        ValueError: unknown variant or field, or a field is missing and no `base` is given.
        TypeError: `arch` is neither a name nor a mapping.
    """
    kind = type(next(iter(archs.values())))
    if isinstance(arch, kind):
        return arch
    if isinstance(arch, str):
        if arch not in archs:
            raise ValueError(f'arch={arch!r} is not a {family}; known: {", ".join(archs)}.')
        return archs[arch]
    if not isinstance(arch, Mapping):
        raise TypeError(
            f'arch={arch!r} of {family} must be a name ({", ".join(archs)}) or a mapping of fields.'
        )
    values = {
        key: tuple(value) if isinstance(value, list) else value for key, value in arch.items()
    }
    base = values.pop('base', None)
    known = [field.name for field in fields(kind)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(
            f'arch of {family} has unknown fields {unknown}; allowed: base, {", ".join(known)}.'
        )
    if base is not None:
        return replace(resolve_arch(family, archs, base), **values)
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(
            f'arch of {family} without base is incomplete ({error}); add the fields or name a base.'
        ) from error


def _up_to_stage(keys: KeyMap, last: int, stages: int) -> KeyMap:
    """The key map of a network that ends with the stage `last`: a file may hold the later ones."""
    if last == stages - 1:
        return keys
    later = tuple(rf'^stages\.{i}\.' for i in range(last + 1, stages))
    return replace(keys, fresh=(*keys.fresh, *later, rf'^stages\.{last}\.downsample\.'))


def _recompute_contexts(norms: list[nn.Module]) -> tuple[Any, Any]:
    return nullcontext(), held_statistics(norms)


class Stage(nn.Module):
    """The blocks of one resolution, what may follow them, and the way to the next resolution."""

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        downsample: nn.Module | None,
        tail: nn.Module | None = None,
    ):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.tail = tail
        self.downsample = downsample


class Backbone(BaseModule):
    """What every backbone has: a variant, an image's channels, freezing, checkpointing, loading.

    A family gives `ARCHS`, whose rows have at least `drop_path_rate`, and `AUTHOR_KEYS`. The shape
    of the network, staged or plain, gives `stem` (with `stride` and `min_size`) and `parts`.

    Args:
        arch: a variant's name, or a mapping of its fields, which may say `base='NAME'`.
        in_channels: channels of the image.
        drop_path_rate: rate of the last block, rising linearly from 0; None is the variant's.
        with_cp: recompute each block in the backward pass to save memory.
        norm_eval: keep the batch norms in evaluation mode while training: they use the statistics
            they were loaded with and leave them as they are, while their weights still learn. A
            network without batch norms refuses it.
        init_cfg: `dict(type='Pretrained', checkpoint=PATH_OR_URL)` loads the authors' file or
            ours, strictly, when the runner (or you) calls `init_weights`; it may add `prefix`
            (only the keys below it), `drop` (patterns of the authors' keys to leave out) and
            `trusted` (see `mamba_dense.weights.load_weights`).

    Raises:
        ValueError: a value above is not allowed; the message lists what is.
    """

    ARCHS: ClassVar[Mapping[str, Any]]
    AUTHOR_KEYS: ClassVar[KeyMap]
    PARTS: ClassVar[str]
    spatial_dims: int = 2
    fixed_size: tuple[int, ...] | None = None  # where a network takes images of one size alone
    stem: nn.Module
    out_indices: tuple[int, ...]
    out_channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        *,
        in_channels: int = 3,
        drop_path_rate: float | None = None,
        with_cp: bool = False,
        norm_eval: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(init_cfg=init_cfg)
        self.arch = resolve_arch(type(self).__name__, self.ARCHS, arch)
        if in_channels < 1:
            raise ValueError(f'in_channels={in_channels} must be at least 1.')
        rate = self.arch.drop_path_rate if drop_path_rate is None else drop_path_rate
        if not 0.0 <= rate < 1.0:
            raise ValueError(f'drop_path_rate={rate} must lie in [0, 1).')
        self.in_channels = in_channels
        self.drop_path_rate = rate
        self.with_cp = with_cp
        self.frozen_stages = -1
        self.norm_eval = norm_eval

    @property
    def parts(self) -> nn.ModuleList:
        """What `out_indices` and `frozen_stages` count: stages, or blocks."""
        return getattr(self, self.PARTS)

    def _check(self, count: int, out_indices: Sequence[int], frozen_stages: int) -> None:
        """Refuse indices that name none of the `count` parts of the whole variant."""
        indices = list(out_indices)
        allowed = range(count)
        if (
            not indices
            or len(set(indices)) < len(indices)
            or any(i not in allowed for i in indices)
        ):
            raise ValueError(
                f'out_indices={tuple(indices)} must name {self.PARTS} of 0..{count - 1}, each once.'
            )
        if frozen_stages not in range(-1, count + 1):
            raise ValueError(
                f'frozen_stages={frozen_stages} must be -1 (none), 0 (the stem) or up to '
                f'{count} (the stem and that many {self.PARTS}).'
            )

    def init_weights(self) -> None:
        """Load the checkpoint that `init_cfg` names, once; parameters are initialised already.

        Raises:
            ValueError: the file does not fit this network; the message lists both sides.
        """
        if self.is_init:
            return
        cfg = self.init_cfg
        if cfg and cfg.get('type') == 'Pretrained':
            load_weights(
                self,
                cfg['checkpoint'],
                keymap=replace(
                    self.AUTHOR_KEYS, drop=(*self.AUTHOR_KEYS.drop, *cfg.get('drop', ()))
                ),
                prefix=cfg.get('prefix', ''),
                trusted=cfg.get('trusted', False),
            )
            if hasattr(self, '_params_init_info'):
                update_init_info(self, init_info=f'loaded from {cfg["checkpoint"]}')
            self._is_init = True
        else:
            super().init_weights()

    def _settle(self) -> None:
        """The last step of building: what training leaves alone is put aside."""
        if self.norm_eval and not batch_norms(self):
            raise ValueError(
                f'norm_eval=True is for batch norms, and this {type(self).__name__} has none: its '
                'norms keep no statistics; leave norm_eval out.'
            )
        self._freeze()

    def _freeze(self) -> None:
        if self.norm_eval:
            for norm in batch_norms(self):
                norm.eval()
        if self.frozen_stages < 0:
            return
        for module in (self.stem, *self.parts[: self.frozen_stages]):
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'Backbone':
        """As `nn.Module.train`; what is frozen, or held by `norm_eval`, stays in evaluation."""
        super().train(mode)
        self._freeze()
        return self

    def _check_image(self, x: Tensor) -> None:
        name = type(self).__name__
        if x.ndim != 2 + self.spatial_dims or x.shape[1] != self.in_channels:
            axes = 'H, W' if self.spatial_dims == 2 else 'Z, H, W'
            raise ValueError(
                f'{name} takes images (B, {self.in_channels}, {axes}), got {tuple(x.shape)}; '
                'for other channels build it with in_channels=...'
            )
        if min(x.shape[2:]) < self.stem.min_size:
            raise ValueError(
                f'{name} takes images of at least {self.stem.min_size} pixels a side, '
                f'got {"x".join(str(side) for side in x.shape[2:])}; pad or enlarge the image.'
            )

    def _run(self, block: nn.Module, *inputs: Tensor | None) -> Tensor | tuple[Tensor, ...]:
        if not (self.with_cp and self.training and torch.is_grad_enabled()):
            return block(*inputs)
        norms = batch_norms(block)
        if not norms:
            return checkpoint(block, *inputs, use_reentrant=False)
        # the second pass must not count the batch again
        contexts = partial(_recompute_contexts, norms)
        return checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)


class StagedBackbone(Backbone):
    """A hierarchical backbone: stem, stages of blocks, a downsampling between two stages.

    Stages after the last one of `out_indices` are not built.

    A family gives `ARCHS` (whose rows have at least `dims`, `depths` and `drop_path_rate`),
    `AUTHOR_KEYS` and the hooks `make_stem`, `make_block` and `make_downsample`; `CLASSIFIER_HEAD`
    names the head of its published classifier.

    Args:
        arch, in_channels, drop_path_rate, with_cp, norm_eval, init_cfg: see `Backbone`.
        out_indices: stages whose features are returned, each once, in any order; None is all.
        frozen_stages: -1 freezes nothing, 0 the stem, i the stem and the first i stages.
        output_norm: whether each returned feature passes a norm of its own; None is the family's
            way, `OUTPUT_NORM`.

    Raises:
        ValueError: a value above is not allowed; the message lists what is.
    """

    PARTS = 'stages'
    OUTPUT_NORM: ClassVar[bool] = True
    CLASSIFIER_HEAD: ClassVar[str] = 'NormPoolLinear'
    NO_DECAY = ('out_norms',)

    def __init__(
        self,
        arch: str | Mapping[str, Any],
        *,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        frozen_stages: int = -1,
        drop_path_rate: float | None = None,
        with_cp: bool = False,
        output_norm: bool | None = None,
        norm_eval: bool = False,
        init_cfg: Mapping[str, Any] | None = None,
    ):
        super().__init__(
            arch,
            in_channels=in_channels,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            norm_eval=norm_eval,
            init_cfg=init_cfg,
        )
        depths, dims = self.arch.depths, self.arch.dims
        if len(depths) != len(dims):
            raise ValueError(
                f'arch has depths={depths} and dims={dims}; give one of each for every stage.'
            )
        out_indices = range(len(dims)) if out_indices is None else out_indices
        self._check(len(dims), out_indices, frozen_stages)
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        rates = torch.linspace(0, self.drop_path_rate, sum(depths), device='cpu').tolist()
        self.stem = self.make_stem(in_channels)
        self.stages = nn.ModuleList()
        last = max(self.out_indices)
        for i, depth in enumerate(depths[: last + 1]):
            blocks = [self.make_block(i, j, rates.pop(0)) for j in range(depth)]
            downsample = None if i == last else self.make_downsample(i)
            self.stages.append(Stage(blocks, downsample, self.make_tail(i)))
        self.AUTHOR_KEYS = _up_to_stage(self.AUTHOR_KEYS, last, len(dims))
        self.out_channels = tuple(dims[i] for i in self.out_indices)
        self.strides = tuple(self.stem.stride * 2**i for i in self.out_indices)
        self.out_norms = nn.ModuleDict()
        if self.OUTPUT_NORM if output_norm is None else output_norm:
            self.out_norms.update({str(i): self.make_out_norm(dims[i]) for i in self.out_indices})
        self._init_parameters()
        self._settle()

    @abstractmethod
    def make_stem(self, in_channels: int) -> nn.Module:
        """From (B, H, W, in_channels) to the first stage; has `stride` and `min_size`."""
        raise TypeError(f'{type(self).__name__} does not define make_stem.')

    @abstractmethod
    def make_block(self, stage: int, index: int, drop_path: float) -> nn.Module:
        """Block `index` of a stage: (B, H, W, dims[stage]) to the same shape."""
        raise TypeError(f'{type(self).__name__} does not define make_block.')

    @abstractmethod
    def make_downsample(self, stage: int) -> nn.Module:
        """From (B, H, W, dims[stage]) to (B, ceil(H / 2), ceil(W / 2), dims[stage + 1])."""
        raise TypeError(f'{type(self).__name__} does not define make_downsample.')

    def enter(self, x: Tensor) -> Tensor:
        """An image (B, C, H, W) in the layout of the stages."""
        return x.permute(0, 2, 3, 1)  # (B, H, W, C)

    def leave(self, x: Tensor) -> Tensor:
        """A stage's result as (B, C, H, W)."""
        return x.permute(0, 3, 1, 2)  # (B, C, H, W)

    def make_tail(self, _stage: int) -> nn.Module | None:
        """What follows a stage's blocks before its feature is returned, in its width; or None."""
        return None

    def descend(self, stage: Stage, x: Tensor, _entered: Tensor) -> Tensor:
        """From a stage's result x to the next stage; `_entered` is what the stage began with."""
        return stage.downsample(x)

    def make_out_norm(self, dim: int) -> nn.Module:
        """What a returned feature (B, H, W, dim) passes."""
        return nn.LayerNorm(dim)

    def _init_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of an image, one for each of `out_indices`.

        Args:
            x: (B, in_channels, H, W) of any size the stem takes.

        Returns:
            One (B, out_channels[i], H_i, W_i) per output, contiguous: mmcv's RoIAlign and other
            compiled operators read a channels_last map as if it were not one, in silence.

        Raises:
            ValueError: another number of channels or axes, or an image below the stem's patch.
        """
        features = {}
        for i, (_, y) in enumerate(self.walk(x)):
            if i in self.out_indices:
                y = self.out_norms[str(i)](y) if self.out_norms else y
                features[i] = self.leave(y).contiguous()
        return tuple(features[i] for i in self.out_indices)

    def walk(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What each stage begins with and what it gives, both (B, H_i, W_i, dims[i]), unnormed.

        Args:
            x: (B, in_channels, H, W), as of `forward`, which raises the same errors.
        """
        self._check_image(x)
        x = self.stem(self.enter(x))
        pairs = []
        for stage in self.stages:
            entered = x
            for block in stage.blocks:
                x = self._run(block, x)
            if stage.tail is not None:
                x = self._run(stage.tail, x)
            pairs.append((entered, x))
            if stage.downsample is not None:
                x = self.descend(stage, x, entered)
        return pairs
