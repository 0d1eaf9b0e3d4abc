"""Mamba-YOLO's golden records: the authors' targets and arguments, and ours for them."""

from collections.abc import Callable, Mapping
from math import ceil
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from ..backbones.mamba_yolo import Block, odss_entry, scaled, xss_entry
from ..bricks import (
    ConvSiLU,
    ConvSiLUStem,
    GatedConvMlp,
    LocalBlock,
    PooledPyramid,
    SpaceToDepth,
)
from ..detection.head import Distances, MambaYOLOHead
from ..detection.mamba_yolo import AUTHOR_KEYS
from ..mixers import GeluSS2D
from ..registry import MODELS
from .mamba_yolo_cases import LEVELS, build_assignment, build_loss, build_nms
from .record import Record
from .subject import (
    Arguments,
    Outputs,
    Subject,
    Tap,
    channel_first,
    channel_last,
    observe,
)

_NONE: Mapping[str, Any] = MappingProxyType({})


def _norms(arguments: Arguments) -> None:
    arguments.only('bn_eps', 1e-3)
    arguments.only('bn_momentum', 0.03)


def _block_options(arguments: Arguments) -> int:
    """Take what all blocks share; the state size of the scans."""
    _norms(arguments)
    arguments.only('norm_layer', 'layernorm2d')
    arguments.only('norm_eps', 1e-6)
    for name in ('ssm_ratio', 'ssm_rank_ratio'):
        arguments.only(name, 2.0)
    arguments.only('ssm_dt_rank', 'auto')
    arguments.only('ssm_conv', 3)
    arguments.only('ssm_conv_bias', True)
    arguments.only('forward_type', 'v2')
    arguments.only('mlp_ratio', 4.0)
    arguments.only('mlp_act_layer', 'gelu')
    # the authors' code names SiLU and uses GELU; the rates are 0 everywhere
    arguments.ignore('ssm_act_layer', 'ssm_drop_rate', 'mlp_drop_rate', 'drop_path')
    return int(arguments.take('ssm_d_state'))


def _part(module: nn.Module, taps: Mapping[str, Tap] | None = None) -> Subject:
    """A part whose door is (B, H, W, C) on our side and (B, C, H, W) on theirs."""

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        out, seen = observe(module, [channel_last(x) for x in inputs], taps or {})
        return {name: channel_first(x) for name, x in {**seen, 'out': out}.items()}

    return Subject(run, module, AUTHOR_KEYS)


def build_conv(record: Record) -> Subject:
    """`Conv`: convolution, BatchNorm, SiLU."""
    arguments = Arguments(record)
    _norms(arguments)
    arguments.only('p', None)
    arguments.only('g', 1)
    arguments.only('d', 1)
    arguments.only('act', True)
    sizes = [int(arguments.take(name)) for name in ('c1', 'c2', 'k')]
    module = ConvSiLU(*sizes, stride=int(arguments.take('s')))
    arguments.end()
    return _part(module)


def build_small(
    make: Callable[..., nn.Module], names: tuple[str, ...], fixed: Mapping[str, Any] = _NONE
) -> Callable[[Record], Subject]:
    """A builder of a part made from the arguments `names`; those of `fixed` have one value."""

    def build(record: Record) -> Subject:
        arguments = Arguments(record)
        _norms(arguments)
        for name, value in fixed.items():
            arguments.only(name, value)
        arguments.ignore('drop')
        module = make(*(int(arguments.take(name)) for name in names))
        arguments.end()
        return _part(module)

    return build


def build_local(record: Record) -> Subject:
    """`LSBlock`, as wide inside as outside."""
    arguments = Arguments(record)
    _norms(arguments)
    arguments.only('act_layer', 'gelu')
    arguments.ignore('drop')
    width = int(arguments.take('in_features'))
    arguments.only('hidden_features', width)
    arguments.end()
    return _part(LocalBlock(width))


def build_mlp(record: Record) -> Subject:
    """`RGBlock`, told four times its width."""
    arguments = Arguments(record)
    arguments.only('act_layer', 'gelu')
    arguments.ignore('drop')
    width = int(arguments.take('in_features'))
    arguments.only('hidden_features', 4 * width)
    arguments.only('out_features', None, width)
    arguments.end()
    return _part(GatedConvMlp(width))


def build_mixer(record: Record) -> Subject:
    """`SS2D`."""
    arguments = Arguments(record)
    width = int(arguments.take('d_model'))
    for name in ('ssm_ratio', 'ssm_rank_ratio'):
        arguments.only(name, 2.0)
    arguments.only('dt_rank', 'auto', ceil(width / 16))
    arguments.only('d_conv', 3)
    arguments.only('conv_bias', True)
    arguments.only('bias', False)
    arguments.only('forward_type', 'v2')
    arguments.ignore('act_layer', 'dropout')
    module = GeluSS2D(width, state=int(arguments.take('d_state')))
    arguments.end()
    return _part(module)


def build_odss(record: Record) -> Subject:
    """`VSSBlock`, the backbone's."""
    arguments = Arguments(record)
    state = _block_options(arguments)
    channels, width = int(arguments.take('in_channels')), int(arguments.take('hidden_dim'))
    arguments.end()
    block = Block(odss_entry(channels, width), width, state=state)
    return _part(block, _block_taps(block, 'proj_conv', 'ss2d_of_norm'))


def build_xss(record: Record) -> Subject:
    """`XSSBlock`, the neck's."""
    arguments = Arguments(record)
    state = _block_options(arguments)
    channels, width = int(arguments.take('in_channels')), int(arguments.take('hidden_dim'))
    scans = int(arguments.take('n'))
    arguments.end()
    block = Block(xss_entry(channels, width), width, scans=scans, state=state)
    return _part(block, _block_taps(block, 'in_proj', 'ss2d_chain_of_norm'))


def _block_taps(block: Block, entry: str, mixed: str) -> dict[str, Tap]:
    return {
        entry: Tap(block.entry),
        'lsblock': Tap(block.local),
        mixed: Tap(block.mixers),
        'after_ssm': Tap(block.norm2, of_input=True),
        'rgblock_of_norm2': Tap(block.mlp),
    }


def build_distances(record: Record) -> Subject:
    """`DFL`: the mean of each side's distribution; (B, 64, A) to (B, 4, A)."""
    arguments = Arguments(record)
    module = Distances(int(arguments.take('c1')))
    arguments.end()
    return Subject(
        lambda inputs: {'distances': module(inputs[0].mT).mT},
        module,
        AUTHOR_KEYS,
    )


def _named_maps(head: MambaYOLOHead, maps: tuple[Any, ...]) -> dict[str, Tensor]:
    """Raw maps, boxes and scores by the records' names."""
    cls_scores, bbox_preds = maps[:2]
    found: dict[str, Tensor] = {}
    for level, cls, box in zip(LEVELS, cls_scores, bbox_preds, strict=True):
        found |= {f'reg_{level}': box, f'cls_{level}': cls}
    predictions = head.decode(cls_scores, bbox_preds)
    corners = predictions.boxes
    low, high = corners[..., :2], corners[..., 2:]
    found['boxes_xyxy'] = corners
    found['boxes_cxcywh'] = torch.cat([(low + high) / 2, high - low], dim=-1)
    found['scores'] = predictions.logits.sigmoid()
    return found


def build_head(record: Record) -> Subject:
    """`Detect`."""
    arguments = Arguments(record)
    _norms(arguments)
    head = MambaYOLOHead(
        int(arguments.take('nc')),
        tuple(arguments.take('ch')),
        strides=tuple(arguments.take('stride')),
        reg_max=int(arguments.take('reg_max')),
    )
    arguments.end()
    return Subject(lambda inputs: _named_maps(head, head(inputs)), head, AUTHOR_KEYS)


def _detector(arguments: Arguments, *, masks: bool) -> nn.Module:
    """The detector that the scale numbers of an authors' file describe."""
    state = _block_options(arguments)
    arguments.ignore('cfg')
    depth, width = arguments.take('depth_multiple'), arguments.take('width_multiple')
    arch = scaled(depth, width, arguments.take('max_channels'))
    widths = arch.dims[1:]
    neck = {
        'type': 'mamba_dense.MambaYOLOPAFPN',
        'in_channels': widths,
        'scans': 1 if masks else max(round(3 * depth), 1),
        'block': 'odss' if masks else 'xss',
        'state': state,
    }
    head = {
        'type': 'mamba_dense.MambaYOLOHead',
        'num_classes': arguments.take('nc'),
        'in_channels': widths,
        'strides': arguments.take('stride'),
        'reg_max': arguments.take('reg_max'),
    }
    if masks:
        head['type'] = 'mamba_dense.MambaYOLOMaskHead'
        head['num_prototypes'] = arguments.take('nm')
        head['prototype_channels'] = ceil(arguments.take('npr') * width / 8) * 8
    backbone = {
        'type': 'mamba_dense.MambaYOLO',
        'arch': {'dims': arch.dims, 'depths': arch.depths, 'state': state},
        'in_channels': arguments.take('ch'),
        'out_indices': (1, 2, 3),
    }
    arguments.end()
    return MODELS.build(
        {'type': 'mamba_dense.MambaYOLODetector', 'backbone': backbone, 'neck': neck}
        | {'bbox_head': head}
    )


def build_detector(record: Record) -> Subject:
    """`DetectionModel`: every level on the way, raw maps, boxes, scores; BatchNorm's statistics."""
    model = _detector(Arguments(record), masks=False)
    taps = {
        'stem': Tap(model.backbone.stem),
        **{f'c{i + 2}': Tap(stage.blocks[-1]) for i, stage in enumerate(model.backbone.stages)},
        'c5_sppf': Tap(model.backbone.stages[3].tail),
        'td_p4': Tap(model.neck.top_down[0]),
        'n3': Tap(model.neck.top_down[1]),
        'n4': Tap(model.neck.bottom_up[0]),
        'n5': Tap(model.neck.bottom_up[1]),
    }
    taps['c5_before_sppf'] = taps.pop('c5')

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        maps, seen = observe(model, inputs, taps)
        found = {name: channel_first(x) for name, x in seen.items()}
        found |= _named_maps(model.bbox_head, maps)
        state = model.state_dict()
        for name in record.outputs:
            if AUTHOR_KEYS.name(name) in state:
                found[name] = state[AUTHOR_KEYS.name(name)]
        return found

    return Subject(run, model, AUTHOR_KEYS)


def build_mask_network(record: Record) -> Subject:
    """`SegmentationModel`: the detector's outputs, mask coefficients and prototypes."""
    model = _detector(Arguments(record), masks=True)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        maps = model(*inputs)
        coefficients = torch.cat([level.flatten(2) for level in maps[2]], dim=2)
        extra = {'mask_coefficients': coefficients, 'prototypes': maps[3]}
        return {**_named_maps(model.bbox_head, maps), **extra}

    return Subject(run, model, AUTHOR_KEYS)


TARGETS = {
    'Conv': build_conv,
    'DFL': build_distances,
    'Detect': build_head,
    'DetectionModel': build_detector,
    'LSBlock': build_local,
    'RGBlock': build_mlp,
    'SPPF': build_small(PooledPyramid, ('c1', 'c2'), {'k': 5}),
    'SS2D': build_mixer,
    'SegmentationModel': build_mask_network,
    'SimpleStem': build_small(ConvSiLUStem, ('inp', 'embed_dim'), {'ks': 3}),
    'TaskAlignedAssigner': build_assignment,
    'VSSBlock': build_odss,
    'VisionClueMerge': build_small(SpaceToDepth, ('dim', 'out_dim')),
    'XSSBlock': build_xss,
    'non_max_suppression': build_nms,
    'v8DetectionLoss': build_loss,
}
