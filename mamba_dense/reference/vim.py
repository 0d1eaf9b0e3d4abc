"""Vim's golden records: the authors' targets and arguments, and ours for them."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..backbones.vim import Arch, Block, Vim
from ..bricks import RMSNorm, SimpleFeaturePyramid, rotary_tables, rotate
from ..classification import ImageClassifier
from ..mixers import BidirectionalMixer
from ..weights import KeyMap, resize_table
from .record import Record
from .subject import Arguments, Outputs, Subject, Tap, UnsupportedError, observe

# what is taken after a block, by use_residual_as_feature and last_layer_process
FEATURES = {(False, 'none'): 'hidden', (True, 'add'): 'residual'}


def _mixer_fields(arguments: Arguments) -> dict[str, Any]:
    """The `Arch` fields of the mixer, from arguments that networks, blocks and mixers share."""
    arguments.only('bimamba_type', 'v2')
    scale = arguments.left.pop('init_layer_scale', None)
    return {
        'state': int(arguments.take('d_state')),
        'mean': bool(arguments.left.pop('if_divide_out', True)),
        'layer_scale': None if scale is None else float(scale),
    }


def _block_fields(arguments: Arguments) -> dict[str, Any]:
    arguments.only('rms_norm', True)
    arguments.only('norm_epsilon', 1e-5)
    arguments.only('if_bimamba', False)
    arguments.ignore('fused_add_norm', 'residual_in_fp32')
    return _mixer_fields(arguments)


def _trunk(arguments: Arguments) -> dict[str, Any]:
    """Our arguments of the whole backbone; the class token and the features are not among them."""
    arguments.only('if_abs_pos_embed', True)
    arguments.only('if_bidirectional', False)
    arguments.only('flip_img_sequences_ratio', -1.0, -1)
    arguments.only('use_double_cls_token', False)
    arguments.only('use_middle_cls_token', True)
    arguments.only('pt_hw_seq_len', 14)
    arguments.ignore('drop_path_rate', 'ft_seq_len', 'final_pool_type')
    arch = {
        'dim': arguments.take('embed_dim'),
        'depth': arguments.take('depth'),
        'patch': arguments.take('patch_size'),
        'stride': arguments.take('stride'),
        **_block_fields(arguments),
    }
    rotary = bool(arguments.left.pop('if_rope', False))
    if arguments.left.pop('if_rope_residual', rotary) != rotary:
        raise UnsupportedError('if_rope turns hidden and residual tokens together, or neither')
    return {'arch': arch, 'img_size': arguments.take('img_size'), 'rotary': rotary}


def build_classifier(record: Record) -> Subject:
    """`VisionMamba`: embedded tokens, the pair after each block, normed tokens, logits."""
    arguments = Arguments(record)
    options = _trunk(arguments)
    arguments.only('if_cls_token', True)
    channels, classes = arguments.take('channels'), arguments.take('num_classes')
    arguments.end()
    if options['rotary']:
        raise UnsupportedError('rotary positions beside a class token are not built')
    model = ImageClassifier(
        {
            'type': 'mamba_dense.Vim',
            'feature': 'class_token',
            'in_channels': channels,
            **options,
        },
        {
            'type': 'mamba_dense.TokenLinear',
            'in_channels': options['arch']['dim'],
            'num_classes': classes,
        },
    )
    blocks = model.backbone.blocks
    taps = {
        'embed': Tap(blocks[0], of_input=True),
        'tokens_final': Tap(model.backbone.norm),
        **{str(i): Tap(block) for i, block in enumerate(blocks)},
    }

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        logits, seen = observe(model, inputs, taps)
        outputs = {name: seen.pop(name) for name in ('embed', 'tokens_final')}
        for i, (hidden, residual) in seen.items():
            outputs |= {f'hidden_{i}': hidden, f'residual_{i}': residual}
        return {**outputs, 'logits': logits}

    return Subject(run, model, model.AUTHOR_KEYS)


def build_segmentor(record: Record) -> Subject:
    """`VisionMambaSeg`: the maps of `out_indices`, and the same after the pyramid.

    The authors' network holds a final norm that it does not use; it is counted with it. A class
    token is deleted there after the building.
    """
    arguments = Arguments(record)
    options = _trunk(arguments)
    arguments.only('if_fpn', True)
    arguments.ignore('if_cls_token', 'num_classes', 'pretrained')
    mode = (arguments.take('use_residual_as_feature'), arguments.take('last_layer_process'))
    if mode not in FEATURES:
        raise UnsupportedError(
            f'use_residual_as_feature={mode[0]} with last_layer_process={mode[1]!r} is not built'
        )
    model = Vim(
        feature=FEATURES[mode],
        in_channels=arguments.take('in_chans'),
        out_indices=arguments.take('out_indices'),
        pyramid=True,
        **options,
    )
    arguments.end()
    model.norm = RMSNorm(model.arch.dim)
    last = options['arch']['depth'] - 1
    if max(model.out_indices) != last:
        raise UnsupportedError(f'out_indices={model.out_indices} without the last block, {last}')

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        outs, seen = observe(model, inputs, {'maps': Tap(model.pyramid, of_input=True)})
        levels = {f'feat{i}_before_fpn': x for i, x in enumerate(seen['maps'])}
        return levels | {f'out{i}': x for i, x in enumerate(outs)}

    return Subject(run, model, model.AUTHOR_KEYS)


class _Detector(nn.Module):
    """A backbone and its neck, under the names that a detector gives them."""

    def __init__(self, backbone: nn.Module, neck: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.neck = neck

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.neck(self.backbone(x))


def build_detector(record: Record) -> Subject:
    """`SimpleFeaturePyramid` over `VisionMambaDet`: the one map, and the levels from p2 on.

    The images of a record have the padded size already.
    """
    arguments = Arguments(record)
    arguments.only('in_feature', 'last_feat')
    arguments.only('norm', 'ln')
    arguments.only('top_block', 'lastlevelmaxpool')
    arguments.ignore('square_pad')
    scales = [float(scale) for scale in arguments.take('scale_factors')]
    width = arguments.take('out_channels')
    inner = Arguments(record)
    inner.left = dict(arguments.take('net'))
    arguments.end()
    options = _trunk(inner)
    inner.only('last_layer_process', 'add')
    inner.only('out_feature', 'last_feat')
    inner.ignore('if_cls_token')
    depth = options['arch']['depth']
    backbone = Vim(in_channels=inner.take('in_chans'), out_indices=(depth - 1,), **options)
    inner.end()
    dim = options['arch']['dim']
    neck = SimpleFeaturePyramid(dim, width, scales=scales, num_outs=len(scales) + 1)
    model = _Detector(backbone, neck)
    first = round(math.log2(options['arch']['stride'] / scales[0]))

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        levels, seen = observe(model, inputs, {'last_feat': Tap(neck, of_input=True)})
        named = {f'p{first + i}': x for i, x in enumerate(levels)}
        return {'last_feat': seen['last_feat'][0], **named}

    return Subject(run, model, Vim.DETECTOR_KEYS)


def build_block(record: Record) -> Subject:
    """`Block`: the pair, called with and without a residual, as the record's runs say."""
    arguments = Arguments(record)
    arguments.ignore('drop_path')
    arch = Arch(dim=arguments.take('d_model'), depth=1, **_block_fields(arguments))
    arguments.end()
    block = Block(arch)
    runs = record.call.get('runs') or [{'inputs': record.roles, 'outputs': record.outputs}]

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        given = dict(zip(record.roles, inputs, strict=True))
        outputs: dict[str, Tensor] = {}
        for one in runs:
            pair = block(*[given[role] for role in one['inputs']])
            outputs |= zip(one['outputs'], pair, strict=True)
        return outputs

    return Subject(run, block, Vim.AUTHOR_KEYS)


def build_mixer(record: Record) -> Subject:
    """`Mamba` in its bidirectional form."""
    arguments = Arguments(record)
    width = arguments.take('d_model')
    rank = arguments.take('dt_rank', default='auto')
    if rank not in ('auto', math.ceil(width / 16)):
        raise UnsupportedError(f'dt_rank={rank!r} is not built; it is ceil(d_model / 16)')
    arguments.only('d_conv', 4)
    arguments.only('conv_bias', True)
    arguments.only('bias', False)
    ratio = float(arguments.take('expand', default=2))
    mixer = BidirectionalMixer(width, ratio=ratio, **_mixer_fields(arguments))
    arguments.end()
    return Subject(lambda inputs: {'out': mixer(*inputs)}, mixer, Vim.AUTHOR_KEYS)


def build_rotary(record: Record) -> Subject:
    """`VisionRotaryEmbeddingFast`: turned tokens, and the tables; an odd first token is not turned.

    The authors' `dim` is half the width of a token; their table has each angle twice.
    """
    arguments = Arguments(record)
    arguments.only('freqs_for', 'lang')
    arguments.only('theta', 10000, 10000.0)
    width, pretrained = 2 * arguments.take('dim'), arguments.take('pt_seq_len')
    side = arguments.left.pop('ft_seq_len', None) or pretrained
    arguments.end()
    cos, sin = rotary_tables((side, side), width, pretrained_side=pretrained)
    names = record.call.get('tables') or {}
    runs = record.call.get('runs') or [{'inputs': record.roles, 'outputs': record.outputs}]

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        given = dict(zip(record.roles, inputs, strict=True))
        tables = {'freqs_cos': cos, 'freqs_sin': sin}
        outputs = {
            name: tables[source].repeat_interleave(2, dim=-1) for name, source in names.items()
        }
        for one in runs:
            x = given[one['inputs'][0]]
            first = x[:, : x.shape[1] % 2]
            if 'prepend_token_of' in one:
                first = torch.full_like(x[:, :1], one['prepend_token_of'])
            turned = rotate(x[:, x.shape[1] % 2 :], cos, sin)
            outputs[one['outputs'][0]] = torch.cat([first, turned], dim=1)
        return outputs

    return Subject(run)


def build_position_table(record: Record) -> Subject:
    """`interpolate_pos_embed`, which keeps the first rows whatever they are, and resizes the rest.

    Loading a file into our networks does not take this for the class token of a middle place.
    """
    arguments = Arguments(record)
    size, patch = arguments.take('img_size'), arguments.take('patch_size')
    extra = arguments.left.pop('num_extra_tokens', 0)
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        table = inputs[0]
        side = math.isqrt(table.shape[1] - extra)
        rows = table[:, extra:].unflatten(1, (side, side))  # (1, H, W, C)
        rows = resize_table(rows, (size // patch, size // patch)).flatten(1, 2)
        return {'out': torch.cat([table[:, :extra], rows], dim=1)}

    return Subject(run, keymap=KeyMap())


TARGETS = {
    'VisionMamba': build_classifier,
    'VisionMambaSeg': build_segmentor,
    'SimpleFeaturePyramid_VisionMambaDet': build_detector,
    'Block': build_block,
    'Mamba': build_mixer,
    'VisionRotaryEmbeddingFast': build_rotary,
    'interpolate_pos_embed': build_position_table,
}
