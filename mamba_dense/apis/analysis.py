"""What a network costs: parameters, multiply-adds with the scans apart, activation memory.

Runs on the meta device: nothing is computed, so every variant is measured in seconds and in no
memory. The convention is the field's (fvcore's): one multiply-add counts one, a norm 5 per element
(2 for a batch norm in eval mode), bilinear upsampling 4 per element, other elementwise work
nothing; a scan counts 9 L D N + L D and the projection of its steps as any matrix product. A
detector is counted with 1000 proposals and 100 masks, see `detector_pass`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mamba_kernels import route_scan_flops

from .detector_pass import DetectorPass
from .inferencer import input_channels, without_pretraining
from .instances import is_detector
from .models import find_model

Shape = Sequence[int]


@dataclass(frozen=True)
class Row:
    """One part of a network; counts are per picture."""

    name: str
    parameters: int
    flops: int
    scan_flops: int
    activation_bytes: int


@dataclass(frozen=True)
class Analysis:
    """Cost of a network for one picture.

    Attributes:
        name: the network.
        shape: (channels, height, width) of the picture.
        total: the whole network; parameters include heads that only training uses.
        parts: stem, stages, heads, in the order they run; they add up to the total but for
            parameters and work that belong to none of them.
    """

    name: str
    shape: tuple[int, int, int]
    total: Row
    parts: tuple[Row, ...]


def analyze(config: Any, size: tuple[int, int] | None = None) -> Analysis:
    """Measure the network of a config.

    Args:
        config: as in `init_model`.
        size: (height, width) of the picture; None is what the config trains or tests on.

    Raises:
        ValueError: the size is not positive, or the config does not say one.
    """
    source = find_model(config)
    height, width = size or config_size(source.cfg)
    if height < 1 or width < 1:
        raise ValueError(f'size={(height, width)} must be positive.')
    model = build_meta(source.cfg)
    shape = (input_channels(model), height, width)
    return measure(DetectorPass(model) if is_detector(model) else model, shape, source.name)


def build_meta(cfg: Config) -> nn.Module:
    """The network of a config on the meta device, in eval mode, without weights."""
    scope = cfg.get('default_scope', 'mmengine')
    with DefaultScope.overwrite_default_scope(scope), torch.device('meta'):
        model = MODELS.build(without_pretraining(cfg.model))
    return revert_sync_batchnorm(model).to('meta').eval()


def config_size(cfg: Config) -> tuple[int, int]:
    """(height, width) that a config works on: its crop.

    Raises:
        ValueError: the config states none.
    """
    if 'test_input' in cfg:
        return (cfg.test_input.crop, cfg.test_input.crop)
    size = cfg.get('crop_size') or cfg.model.get('data_preprocessor', {}).get('size')
    if size is None:
        raise ValueError(f'{cfg.filename}: states no crop_size; give the size of the picture.')
    return (int(size[0]), int(size[1]))


def measure(model: nn.Module, shape: Shape, name: str = 'network') -> Analysis:
    """Measure a network on the meta device for one picture of `shape` (channels, H, W)."""
    x = torch.empty(1, *shape, device='meta')
    flops, scans = count_flops(model, x)
    saved = count_saved(model, x)
    parts = [
        Row(part, _parameters(module), *(_within(part, module, of) for of in (flops, scans, saved)))
        for part, module in network_parts(model)
    ]
    total = Row(name, _parameters(model), flops[''], scans[''], saved[''])
    return Analysis(name, (shape[0], shape[1], shape[2]), total, tuple(parts))


def network_parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The rows of the table: the backbone's children, stages one by one, then the other parts."""
    parts = []
    for name, module in model.named_children():
        if name == 'backbone':
            parts += [(f'backbone.{key}', part) for key, part in _unrolled(module)]
        elif _parameters(module):
            parts.append((name, module))
    return parts


def _unrolled(module: nn.Module) -> list[tuple[str, nn.Module]]:
    found = []
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            found += [(f'{name}.{key}', part) for key, part in child.named_children()]
        elif _parameters(child):
            found.append((name, child))
    return found


def _within(path: str, module: nn.Module, counts: Mapping[str, int]) -> int:
    """The count of a module, or of what it holds where it is a mere container."""
    if path in counts:
        return counts[path]
    return sum(_within(f'{path}.{name}', m, counts) for name, m in module.named_children())


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def count_flops(model: nn.Module, x: Tensor) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Work of one forward pass per module, in this file's convention.

    Returns:
        All work, and the scans' share of it, by the module's path; '' is the whole network.
    """
    flops = _by_module(model, x, _PER_ELEMENT | {_ROUTE_SCAN: _steps_and_scans})
    scans = _by_module(model, x, {_ROUTE_SCAN: _route_scans}, only_scans=True)
    return flops, scans


def _by_module(
    model: nn.Module, x: Tensor, formulas: Mapping[Any, Any], *, only_scans: bool = False
) -> Mapping[str, int]:
    counter = FlopCounterMode(display=False, custom_mapping=dict(formulas))
    with torch.no_grad(), counter:
        model(x)
    work: dict[str, int] = defaultdict(int)
    root = type(model).__name__
    for path, by_op in counter.get_flop_counts().items():
        key = '' if path == 'Global' else path.removeprefix(f'{root}.')
        for op, count in by_op.items():
            if op in _SCANS or op in formulas:
                work[key] += count
            elif not only_scans:
                # torch counts two for a multiply-add
                work[key] += count // 2
    return work


def count_saved(model: nn.Module, x: Tensor) -> Mapping[str, int]:
    """Bytes that a forward pass keeps for the backward pass, by the module that keeps them.

    Parameters are not counted, nor is a tensor that several operations keep counted twice. What a
    module keeps is counted in it and in every module round it; '' is the whole network.
    """
    saved: dict[str, int] = defaultdict(int)
    seen = {p.untyped_storage()._cdata for p in model.parameters()}
    alive: list[Tensor] = []  # keeps storages, so that none gets the address of a freed one
    inside: list[str] = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in seen:
            seen.add(storage._cdata)
            alive.append(tensor)
            for path in {'', *inside}:
                saved[path] += storage.nbytes()
        return tensor

    hooks = []
    for path, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, path=path: inside.append(path)))
        hooks.append(module.register_forward_hook(lambda *_: inside.pop() and None))
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return saved


# formulas of the counter: shapes of an operator's arguments by position, `out_shape` by name


def _layer_norm(x: Shape, _dims: Shape, weight: Shape | None, *_: Any, **__: Any) -> int:
    """Five per element with an affine map, else four."""
    return prod(x) * (4 if weight is None else 5)


def _group_norm(x: Shape, weight: Shape | None, *_: Any, **__: Any) -> int:
    return prod(x) * (4 if weight is None else 5)


def _batch_norm(x: Shape, weight: Shape | None, *_: Any, **__: Any) -> int:
    """In eval mode a batch norm is one multiply-add with its affine map folded in, counted as 2."""
    return prod(x) * (1 if weight is None else 2)


def _bilinear(*_: Any, out_shape: Shape) -> int:
    return 4 * prod(out_shape)


def _pool(x: Shape, *_: Any, **__: Any) -> int:
    return prod(x)


def _route_scans(x: Shape, *shapes: Any, **_: Any) -> int:
    """The scans of all routes."""
    _, _, _, A, _, (routes, steps) = shapes[:6]
    return route_scan_flops(x[0], x[2], steps, A[2], routes)


def _steps_and_scans(x: Shape, *shapes: Any, **_: Any) -> int:
    """The scans of all routes and, a matrix product, the projection of their steps."""
    _, dt_weight, _, _, _, (routes, steps) = shapes[:6]
    return _route_scans(x, *shapes) + x[0] * steps * routes * x[2] * dt_weight[2]


_aten = torch.ops.aten
_ROUTE_SCAN = torch.ops.mamba_kernels.route_scan_forward
_SCANS = (_ROUTE_SCAN, torch.ops.mamba_kernels.selective_scan_forward)
_PER_ELEMENT = {
    _aten.native_layer_norm: _layer_norm,
    _aten.native_group_norm: _group_norm,
    _aten.native_batch_norm: _batch_norm,
    _aten.cudnn_batch_norm: _batch_norm,
    _aten._native_batch_norm_legit_no_training: _batch_norm,
    _aten.upsample_bilinear2d: _bilinear,
    _aten._adaptive_avg_pool2d: _pool,
}
