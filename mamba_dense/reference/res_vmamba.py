"""Res-VMamba's golden records: the authors' targets and arguments, and ours for them."""

import math
from typing import Any

from torch import Tensor

from ..backbones.res_vmamba import Block, ResVMamba
from ..classification import ImageClassifier
from ..mixers import SS2D
from .record import Record
from .subject import Arguments, Outputs, Subject, Tap, UnsupportedError, observe

LAYER_NORM = {'type': 'LayerNorm', 'eps': 1e-5}
STATE = 16


def _mixer(arguments: Arguments, widths: tuple[int, ...]) -> None:
    """Refuse another mixer than the one there is; networks, blocks and mixers share these."""
    rank = arguments.take('dt_rank', default='auto')
    if rank != 'auto' and any(rank != math.ceil(width / 16) for width in widths):
        raise UnsupportedError(f'dt_rank={rank!r} is not built; it is ceil(width / 16)')
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
    depths = tuple(arguments.take('depths'))
    dims = arguments.take('dims')
    dims = tuple(dims * 2**i for i in range(len(depths))) if isinstance(dims, int) else tuple(dims)
    _mixer(arguments, dims)
    _block(arguments)
    arguments.only('patch_size', 4)
    arguments.only('patch_norm', True)
    arguments.only('downsample_version', 'v1')
    residual = 'learned' if arguments.take('global_residual') else 'absent'
    return {'dims': dims, 'depths': depths, 'residual': residual}


def build_classifier(record: Record) -> Subject:
    """`VSSM`: stem, every stage's blocks, what goes on from there, logits."""
    arguments = Arguments(record)
    arch = _arch(arguments)
    channels, classes = arguments.take('in_chans'), arguments.take('num_classes')
    arguments.end()
    backbone = {
        'type': 'mamba_dense.ResVMamba',
        'arch': arch,
        'in_channels': channels,
        'out_indices': (len(arch['dims']) - 1,),
        'output_norm': False,
    }
    head = {
        'type': 'mamba_dense.NormPoolLinear',
        'in_channels': arch['dims'][-1],
        'num_classes': classes,
    }
    model = ImageClassifier(backbone, head)
    taps = {'patch_embed_nhwc': Tap(model.backbone.stem)}
    for i, stage in enumerate(model.backbone.stages):
        taps[f'stage{i}_blocks_nhwc'] = Tap(stage.blocks[-1])
        taps[f'stage{i}_out_nhwc'] = Tap(stage.downsample or stage.blocks[-1])

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        logits, seen = observe(model, inputs, taps)
        return {**seen, 'logits': logits}

    return Subject(run, model, model.AUTHOR_KEYS)


def build_backbone(record: Record) -> Subject:
    """`Backbone_VSSM`: the normed maps of `out_indices`; theirs has no residual, ours may."""
    arguments = Arguments(record)
    arch = _arch(arguments)
    channels, indices = arguments.take('in_chans'), tuple(arguments.take('out_indices'))
    arguments.ignore('pretrained', 'num_classes')
    arguments.end()
    model = ResVMamba(arch, in_channels=channels, out_indices=indices)
    names = [f'feat{i}_nchw' for i in indices]
    return Subject(lambda inputs: dict(zip(names, model(*inputs))), model, model.AUTHOR_KEYS)


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
