"""FER-YOLO-Mamba's golden records: the authors' targets and arguments, and ours for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..detection.fer_yolo import AUTHOR_KEYS, DARKNET_PARTS, DualBranchBlock, ThreeLayerGate
from ..mixers import SS2D
from ..registry import MODELS
from ..routes import routes
from .record import Record
from .subject import (
    Arguments,
    Outputs,
    Subject,
    Tap,
    channel_first,
    channel_last,
    differentiable,
    observe,
)

STRIDES = (16, 16, 32)


def _build(config: Mapping[str, Any]) -> nn.Module:
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(dict(config))


def _norm(arguments: Arguments) -> dict[str, Any]:
    arguments.only('act', 'silu')
    arguments.only('activation', 'silu')
    return {
        'norm_cfg': {
            'type': 'BN',
            'eps': arguments.take('bn_eps'),
            'momentum': arguments.take('bn_momentum'),
        },
        'act_cfg': {'type': 'Swish'},
    }


def _head(classes: int, strides: Sequence[int], norm: Mapping[str, Any]) -> nn.Module:
    config = {
        'type': 'mmdet.YOLOXHead',
        'num_classes': classes,
        'in_channels': 128,
        'feat_channels': 128,
        'stacked_convs': 2,
        'strides': tuple(strides),
        'train_cfg': {'assigner': {'type': 'mmdet.SimOTAAssigner', 'center_radius': 2.5}},
        **norm,
    }
    return _build(config)


class Network(nn.Module):
    """The detector's parts under the names that a detector has; no data preprocessing."""

    def __init__(self, classes: int, norm: Mapping[str, Any]):
        super().__init__()
        self.backbone = _build(
            {
                'type': 'mmdet.CSPDarknet',
                'deepen_factor': 0.33,
                'widen_factor': 0.5,
                'out_indices': (2, 3, 4),
                **norm,
            }
        )
        self.neck = _build({'type': 'mamba_dense.FERYOLOPAFPN', **norm})
        self.bbox_head = _head(classes, STRIDES, norm)

    def forward(self, image: Tensor) -> tuple[list[Tensor], ...]:
        """Class, box and objectness maps by level."""
        return self.bbox_head(self.neck(self.backbone(image)))


def build_network(record: Record) -> Subject:
    """`YoloBody`: features, neck, raw maps with the stems applied, decoded predictions."""
    arguments = Arguments(record)
    arguments.only('phi', 's')
    arguments.only('depth', 0.33)
    arguments.only('width', 0.5)
    arguments.only('depthwise', False)
    arguments.only('d_state', 16)
    arguments.only('ssm_ratio', 2.0)
    arguments.only('drop_path', 0.0)
    arguments.only('norm_layer', 'layernorm')
    arguments.only('norm_eps', 1e-5)
    arguments.only('frm_bn_eps', 1e-5)
    arguments.only('reduction', 16)
    arguments.only('head_stems', True)
    model = Network(arguments.take('num_classes'), _norm(arguments))
    arguments.end()
    backbone, neck = model.backbone, model.neck
    taps = {
        'stem': Tap(backbone.stem),
        'dark3': Tap(backbone.stage2),
        'dark4': Tap(backbone.stage3),
        'dark5': Tap(backbone.stage4),
        'p5_lateral': Tap(neck.lateral),
        'c3_p4': Tap(neck.merge_p4),
        'p4_reduced': Tap(neck.reduce),
        'c3_p3': Tap(neck.merge_p3),
        'p3_out': Tap(neck.out_p3),
        'p4_out': Tap(neck.merge_n4),
        'p5_out': Tap(neck.merge_n5),
    }

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        (classes, boxes, objects), seen = observe(model, inputs, taps)
        raw = [torch.cat(level, dim=1) for level in zip(boxes, objects, classes, strict=True)]
        heads = {f'head{i}': level for i, level in enumerate(raw)}
        return {**seen, **heads, 'decoded': _decode(raw)}

    return Subject(run, model, AUTHOR_KEYS)


def _decode(raw: Sequence[Tensor]) -> Tensor:
    """Raw maps (B, 5 + classes, H, W) to (B, points, 5 + classes), boxes as mmdet's points say."""
    rows = []
    for level, stride in zip(raw, STRIDES, strict=True):
        height, width = level.shape[2:]
        ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
        corner = torch.stack([xs, ys], dim=-1).to(level)  # (H, W, 2)
        flat = level.permute(0, 2, 3, 1)  # (B, H, W, 5 + classes)
        centre = (flat[..., :2] + corner) * stride
        size = flat[..., 2:4].exp() * stride
        rows.append(torch.cat([centre, size, flat[..., 4:].sigmoid()], dim=-1).flatten(1, 2))
    return torch.cat(rows, dim=1)


def build_ss2d(record: Record) -> Subject:
    """`SS2D` with eight routes, channel-last."""
    arguments = Arguments(record)
    arguments.only('dt_rank', 'auto')
    arguments.only('act_layer', 'silu')
    arguments.only('d_conv', 3)
    arguments.only('conv_bias', True)
    arguments.only('dropout', 0.0)
    arguments.only('bias', False)
    arguments.only('forward_type', 'v2')
    mixer = SS2D(
        arguments.take('d_model'),
        ratio=arguments.take('ssm_ratio'),
        state=arguments.take('d_state'),
        conv_bias=True,
        gated=True,
        routes='omnidirectional',
    )
    arguments.end()
    return Subject(lambda inputs: {'out': mixer(*inputs)}, mixer, AUTHOR_KEYS)


def build_block(record: Record) -> Subject:
    """`ConvSSM1`: the dual-branch block and its two branches; channel-last at the door."""
    arguments = Arguments(record)
    arguments.only('drop_path', 0.0)
    arguments.only('norm_layer', 'layernorm')
    arguments.only('norm_eps', 1e-5)
    arguments.only('attn_drop_rate', 0.0)
    arguments.only('ssm_ratio', 2.0)
    arguments.only('dt_rank', 'auto')
    arguments.only('d_conv', 3)
    arguments.only('conv_bias', True)
    arguments.only('bias', False)
    arguments.only('frm_bn_eps', 1e-5)
    arguments.only('reduction', 16)
    block = DualBranchBlock(arguments.take('hidden_dim'), state=arguments.take('d_state'))
    arguments.end()
    taps = {
        'right': Tap(block.norm, of_input=True),
        'scanned': Tap(block.mixer),
        'left_after_frm': Tap(block.local),
    }

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        result, seen = observe(block, tuple(channel_first(x) for x in inputs), taps)
        return {
            'right_after_ss2d': seen['right'] + seen['scanned'],
            'left_after_frm': seen['left_after_frm'],
            'out': channel_last(result),
        }

    return Subject(run, block, AUTHOR_KEYS)


def build_gate(record: Record) -> Subject:
    """`AttentionBlockWithMLP`: channel attention of three linear layers."""
    arguments = Arguments(record)
    gate = ThreeLayerGate(arguments.take('in_channels'), reduction=arguments.take('reduction'))
    arguments.end()
    return Subject(lambda inputs: {'out': gate(*inputs)}, gate, AUTHOR_KEYS)


def _darknet_part(type_name: str, arguments: Arguments, options: Mapping[str, Any]) -> nn.Module:
    part = DARKNET_PARTS[type_name]
    return part(arguments.take('in_channels'), arguments.take('out_channels'), **options)


def build_csp(record: Record) -> Subject:
    """`CSPLayer` of CSPDarknet: mmdet's."""
    arguments = Arguments(record)
    arguments.only('depthwise', False)
    options = {
        'num_blocks': arguments.take('n'),
        'add_identity': arguments.take('shortcut'),
        'expand_ratio': arguments.take('expansion'),
        **_norm(arguments),
    }
    layer = _darknet_part('CSPLayer', arguments, options)
    arguments.end()
    return Subject(lambda inputs: {'out': layer(*inputs)}, layer, AUTHOR_KEYS)


def build_focus(record: Record) -> Subject:
    """`Focus` of CSPDarknet: mmdet's."""
    arguments = Arguments(record)
    options = {
        'kernel_size': arguments.take('ksize'),
        'stride': arguments.take('stride'),
        **_norm(arguments),
    }
    layer = _darknet_part('Focus', arguments, options)
    arguments.end()
    return Subject(lambda inputs: {'out': layer(*inputs)}, layer, AUTHOR_KEYS)


def build_spp(record: Record) -> Subject:
    """`SPPBottleneck` of CSPDarknet: mmdet's."""
    arguments = Arguments(record)
    options = {'kernel_sizes': tuple(arguments.take('kernel_sizes')), **_norm(arguments)}
    layer = _darknet_part('SPPBottleneck', arguments, options)
    arguments.end()
    return Subject(lambda inputs: {'out': layer(*inputs)}, layer, AUTHOR_KEYS)


def build_routes(record: Record) -> Subject:
    """`CrossScan`, `CrossMerge`: pixels by step of the eight routes, and steps put back, summed."""
    arguments = Arguments(record)
    arguments.only('k_group', 8)
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        x, ys = inputs  # (B, C, H, W), (B, K, C, H, W)
        B, C, H, W = x.shape
        order = routes('omnidirectional', (H, W)).order.long()  # (K, L)
        scan = x.flatten(2)[:, :, order].transpose(1, 2)  # (B, K, C, L)
        index = order[None, :, None].expand(B, -1, C, -1)
        merge = torch.zeros_like(ys.flatten(3)).scatter_(3, index, ys.flatten(3)).sum(1)
        return {'scan': scan, 'merge': merge.view(B, C, H, W)}

    return Subject(run)


@dataclass
class _Listener:
    """mmdet's assigner, which takes single precision alone; keeps what it returns."""

    assigner: Any
    results: list[Any] = field(default_factory=list)

    def assign(self, pred_instances: InstanceData, gt_instances: InstanceData, **_rest: Any) -> Any:
        single = (part.to(torch.float32) for part in (pred_instances, gt_instances))
        result = self.assigner.assign(*single)
        self.results.append(result)
        return result


def build_loss(record: Record) -> Subject:
    """`YOLOLoss`: mmdet's head loss, its positives and gradients, for each set of strides."""
    arguments = Arguments(record)
    arguments.only('fp16', False)
    arguments.only('reg_weight', 5.0)
    arguments.only('center_radius', 2.5)
    arguments.only('n_candidate_k', 10)
    arguments.only('iou_cost_weight', 3.0)
    classes, sets = arguments.take('num_classes'), arguments.take('strides')
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        outputs = {}
        for name, strides in sets.items():
            with differentiable(inputs) as leaves:
                found = _loss(leaves, classes, strides)
            outputs |= {f'{name}.{key}': value for key, value in found.items()}
        return outputs

    return Subject(run)


def _loss(inputs: Sequence[Tensor], classes: int, strides: Sequence[int]) -> Outputs:
    *heads, first, second = inputs
    head = _head(classes, strides, {})
    head.assigner = _Listener(head.assigner)
    truths = [_instances(rows.detach()) for rows in (first, second)]
    maps = zip(*((x[:, 5:], x[:, :4], x[:, 4:5]) for x in heads), strict=True)
    losses = head.loss_by_feat(*map(list, maps), truths, [{}, {}])
    loss = sum(losses.values())
    loss.backward()
    assigned = torch.stack([result.gt_inds for result in head.assigner.results])
    overlaps = torch.stack([result.max_overlaps for result in head.assigner.results])
    positive = assigned > 0
    return {
        'loss': loss.detach(),
        'fg_mask': positive,
        'num_fg': positive.sum(),
        'matched_iou': overlaps[positive],
        'matched_gt': assigned[positive] - 1,
        **{f'grad{i}': x.grad for i, x in enumerate(heads)},
    }


def _instances(rows: Tensor) -> InstanceData:
    """Rows of centre x, centre y, width, height in pixels, class."""
    centre, size = rows[:, :2], rows[:, 2:4]
    boxes = torch.cat([centre - size / 2, centre + size / 2], dim=1)
    return InstanceData(bboxes=boxes, labels=rows[:, 4].long())


TARGETS = {
    'YoloBody': build_network,
    'SS2D': build_ss2d,
    'ConvSSM1': build_block,
    'AttentionBlockWithMLP': build_gate,
    'CSPLayer': build_csp,
    'Focus': build_focus,
    'SPPBottleneck': build_spp,
    'CrossScan_CrossMerge': build_routes,
    'YOLOLoss': build_loss,
}
