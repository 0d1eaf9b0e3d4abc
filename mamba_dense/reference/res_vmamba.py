"""Res-VMamba's golden records: the authors' targets and arguments, and ours for them."""

from typing import Any

from ..backbones.res_vmamba import Block, ResVMamba
from ..mixers import SS2D
from .record import Record
from .staged import backbone_subject, check_rank, classifier, classifier_subject, take_sizes
from .subject import Arguments, Subject, Tap

LAYER_NORM = {'type': 'LayerNorm', 'eps': 1e-5}
STATE = 16


def _mixer(arguments: Arguments, widths: tuple[int, ...]) -> None:
    """Refuse another mixer than the one there is; networks, blocks and mixers share these."""
    check_rank(arguments, 'dt_rank', *widths)
    arguments.only('softmax_version', False)
    arguments.ignore('dropout', 'attn_drop_rate', 'drop_rate')


def _block(arguments: Arguments) -> None:
    arguments.only('norm_layer', LAYER_NORM)
    arguments.only('d_state', STATE)
    arguments.only('ssm_ratio', 2.0)
    arguments.only('mlp_ratio', 0.0)
    arguments.ignore('act_layer', 'drop_path', 'drop_path_rate', 'use_checkpoint')


def _arch(arguments: Arguments) -> dict[str, Any]:
    """A whole network's `Arch` as a mapping."""
    sizes = take_sizes(arguments)
    _mixer(arguments, sizes['dims'])
    _block(arguments)
    arguments.only('patch_size', 4)
    arguments.only('patch_norm', True)
    arguments.only('downsample_version', 'v1')
    residual = 'learned' if arguments.take('global_residual') else 'absent'
    return {**sizes, 'residual': residual}


def build_classifier(record: Record) -> Subject:
    """`VSSM`: stem, every stage's blocks, what goes on from there, logits."""
    arguments = Arguments(record)
    model = classifier(ResVMamba, arguments, _arch(arguments))
    taps = {'patch_embed_nhwc': Tap(model.backbone.stem)}
    for i, stage in enumerate(model.backbone.stages):
        taps[f'stage{i}_blocks_nhwc'] = Tap(stage.blocks[-1])
        taps[f'stage{i}_out_nhwc'] = Tap(stage.downsample or stage.blocks[-1])
    return classifier_subject(model, taps)


def build_backbone(record: Record) -> Subject:
    """`Backbone_VSSM`: the normed maps of `out_indices`; theirs has no residual, ours may."""
    arguments = Arguments(record)
    arch = _arch(arguments)
    return backbone_subject(
        ResVMamba, arguments, arch, lambda indices: [f'feat{i}_nchw' for i in indices]
    )


def build_block(record: Record) -> Subject:
    """`VSSBlock`, channel-last."""
    arguments = Arguments(record)
    width = arguments.take('hidden_dim')
    _mixer(arguments, (width,))
    _block(arguments)
    arguments.end()
    block = Block(width)
    return Subject(lambda inputs: {'out': block(*inputs)}, block, ResVMamba.AUTHOR_KEYS)


def build_mixer(record: Record) -> Subject:
    """`SS2D`, channel-last."""
    arguments = Arguments(record)
    width = arguments.take('d_model')
    _mixer(arguments, (width,))
    arguments.only('act_layer', 'silu')
    arguments.only('d_conv', 3)
    arguments.only('bias', False)
    mixer = SS2D(
        width,
        ratio=arguments.take('ssm_ratio'),
        state=arguments.take('d_state'),
        conv_bias=arguments.take('conv_bias'),
        gated=True,
    )
    arguments.end()
    return Subject(lambda inputs: {'out': mixer(*inputs)}, mixer, ResVMamba.AUTHOR_KEYS)


TARGETS = {
    'VSSM': build_classifier,
    'Backbone_VSSM': build_backbone,
    'VSSBlock': build_block,
    'SS2D': build_mixer,
}
