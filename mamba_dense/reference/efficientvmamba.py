"""EfficientVMamba's golden records: the authors' targets and arguments, and ours for them."""

from typing import Any

import torch
from torch import Tensor

from ..backbones.efficientvmamba import Block, EfficientVMamba
from ..bricks import InvertedResidual, PatchMerging
from ..mixers import ES2D
from ..routes import routes
from .record import Record
from .staged import backbone_subject, check_rank, classifier, classifier_subject, take_sizes
from .subject import Arguments, Outputs, Subject, Tap, channel_first, channel_last

LAYER_NORM = {'type': 'LayerNorm', 'eps': 1e-5}
STATE = 16


def _arch(arguments: Arguments) -> dict[str, Any]:
    """A whole network's `Arch` as a mapping; the authors' ignores the state and rank it is told."""
    sizes = take_sizes(arguments)
    arguments.only('patch_size', 4)
    arguments.only('patch_norm', True)
    arguments.only('norm_layer', LAYER_NORM)
    arguments.only('downsample_version', 'v1')
    arguments.only('ssm_ratio', 2.0)
    arguments.only('mlp_ratio', 0.0)
    arguments.only('step_size', 2)
    arguments.ignore('d_state', 'dt_rank', 'window_size', 'drop_path_rate')
    return {**sizes, 'drop_path_rate': 0.0}


def build_classifier(record: Record) -> Subject:
    """`EfficientVSSM`: stem, every stage before its downsampling, logits."""
    arguments = Arguments(record)
    model = classifier(EfficientVMamba, arguments, _arch(arguments))
    taps = {'patch_embed': Tap(model.backbone.stem)}
    for i, stage in enumerate(model.backbone.stages):
        taps[f'stage{i}_before_downsample_nhwc'] = Tap(stage.blocks[-1])
    return classifier_subject(model, taps)


def build_backbone(record: Record) -> Subject:
    """`Backbone_EfficientVSSM`: the normed maps of `out_indices`."""
    arguments = Arguments(record)
    arch = _arch(arguments)
    return backbone_subject(
        EfficientVMamba, arguments, arch, lambda indices: [f'feat{i}_nchw' for i in indices]
    )


def build_block(record: Record) -> Subject:
    """`VSSBlock`, channel-last."""
    arguments = Arguments(record)
    width = arguments.take('hidden_dim')
    check_rank(arguments, 'ssm_dt_rank', width)
    arguments.only('norm_layer', LAYER_NORM)
    arguments.only('ssm_d_state', STATE)
    arguments.only('ssm_ratio', 2.0)
    arguments.only('ssm_act_layer', 'silu')
    arguments.only('ssm_conv', 3)
    arguments.only('ssm_conv_bias', True)
    arguments.only('forward_type', 'v2')
    arguments.only('mlp_ratio', 0.0)
    arguments.only('step_size', 2)
    arguments.ignore('mlp_act_layer', 'drop_path', 'use_checkpoint')
    arguments.end()
    block = Block(width)
    return Subject(lambda inputs: {'out': block(*inputs)}, block, EfficientVMamba.AUTHOR_KEYS)


def build_mixer(record: Record) -> Subject:
    """`SS2D`, which is ES2D, channel-last."""
    arguments = Arguments(record)
    width = arguments.take('d_model')
    check_rank(arguments, 'dt_rank', width)
    arguments.only('act_layer', 'silu')
    arguments.only('d_conv', 3)
    arguments.only('conv_bias', True)
    arguments.only('bias', False)
    arguments.only('forward_type', 'v2')
    arguments.only('step_size', 2)
    arguments.ignore('dropout', 'initialize')
    mixer = ES2D(width, ratio=arguments.take('ssm_ratio'), state=arguments.take('d_state'))
    arguments.end()
    return Subject(lambda inputs: {'out': mixer(*inputs)}, mixer, EfficientVMamba.AUTHOR_KEYS)


def build_inverted_residual(record: Record) -> Subject:
    """`InvertedResidual`, channel-first."""
    arguments = Arguments(record)
    width = arguments.take('in_channels')
    arguments.only('out_channels', width)
    arguments.only('dw_kernel_size', 3)
    arguments.only('stride', 1)
    arguments.only('act_fn', 'relu')
    arguments.only('se_gate_fn', 'sigmoid')
    arguments.only('use_residual', True)
    arguments.only('use_3x3_dw_only', False)
    block = InvertedResidual(
        width,
        expansion=arguments.take('expand_ratio'),
        reduction=arguments.take('se_ratio'),
    )
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        return {'out': channel_first(block(channel_last(inputs[0])))}

    return Subject(run, block, EfficientVMamba.AUTHOR_KEYS)


def build_patch_merging(record: Record) -> Subject:
    """`PatchMerging2D`, channel-last."""
    arguments = Arguments(record)
    arguments.only('norm_layer', LAYER_NORM)
    width, out_width = arguments.take('dim'), arguments.take('out_dim', default=-1)
    arguments.end()
    module = PatchMerging(width, 2 * width if out_width < 0 else out_width)
    return Subject(lambda inputs: {'out': module(*inputs)}, module, EfficientVMamba.AUTHOR_KEYS)


def build_scan(record: Record) -> Subject:
    """`EfficientScan` and `EfficientMerge`: tokens read by the routes, and put back."""
    arguments = Arguments(record)
    arguments.only('step_size', 2)
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        x = inputs[0]  # (B, C, H, W)
        order = routes('atrous', x.shape[2:]).order.long()  # (K, S)
        read = x.flatten(2)[:, :, order]  # (B, C, K, S)
        merged = torch.zeros_like(x).flatten(2)
        merged[:, :, order.flatten()] = read.flatten(2)
        return {'xs': read.transpose(1, 2), 'merged': merged}

    return Subject(run)


TARGETS = {
    'EfficientVSSM': build_classifier,
    'Backbone_EfficientVSSM': build_backbone,
    'VSSBlock': build_block,
    'SS2D': build_mixer,
    'InvertedResidual': build_inverted_residual,
    'PatchMerging2D': build_patch_merging,
    'EfficientScan': build_scan,
}
