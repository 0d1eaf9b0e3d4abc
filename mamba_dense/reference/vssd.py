"""VSSD's golden records: the authors' targets and arguments, and ours for them."""

from typing import Any

from torch import Tensor

from ..backbones.vssd import VSSD, Arch, Block
from ..bricks import InvertedDownsample, ResidualConvStem
from ..mixers import NonCausalSSD, SelfAttention
from .record import Record
from .staged import backbone_subject, classifier, classifier_subject, level_taps
from .subject import (
    Arguments,
    Outputs,
    Subject,
    Tap,
    UnsupportedError,
    channel_first,
    channel_last,
    observe,
)

ATTENTION = {'mamba2': False, 'standard': True}  # attn_type -> softmax attention


def _attention(kind: str) -> bool:
    if kind not in ATTENTION:
        raise UnsupportedError(f'attn_type={kind!r} is not built; known: {", ".join(ATTENTION)}')
    return ATTENTION[kind]


def _published_only(arguments: Arguments) -> None:
    """Options of the mixer that have one published value."""
    arguments.only('linear_attn_duality', True)
    arguments.only('bidirection', False)


def _mixer_fields(arguments: Arguments) -> dict[str, Any]:
    """The `Arch` fields of the blocks, from arguments that networks and single blocks share."""
    _published_only(arguments)
    arguments.only('ssd_ngroups', 1)
    arguments.only('ssd_positve_dA', True)
    arguments.only('norm_layer', 'layernorm')
    arguments.ignore('ssd_chunk_size', 'qkv_bias')
    return {
        'state': arguments.take('d_state'),
        'ratio': float(arguments.take('ssd_expansion')),
        'mlp_ratio': float(arguments.take('mlp_ratio')),
    }


def _arch(arguments: Arguments) -> dict[str, Any]:
    """A whole network's `Arch` as a mapping."""
    arguments.only('patch_size', 4)
    arguments.only('simple_downsample', False)
    arguments.only('simple_patch_embed', False)
    arguments.ignore('img_size', 'drop_rate', 'drop_path_rate')
    depths = tuple(arguments.take('depths'))
    width = arguments.take('embed_dim')
    return {
        'dims': tuple(width * 2**i for i in range(len(depths))),
        'depths': depths,
        'heads': tuple(arguments.take('num_heads')),
        'attention': tuple(_attention(kind) for kind in arguments.take('attn_types')),
        **_mixer_fields(arguments),
    }


def _tokens(x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, H * W, C)."""
    return x.flatten(1, 2)


def build_classifier(record: Record) -> Subject:
    """`VMAMBA2`: stem, every stage before and after its downsampling, logits."""
    arguments = Arguments(record)
    model = classifier(VSSD, arguments, _arch(arguments))
    return classifier_subject(model, level_taps(model.backbone), _tokens)


def build_backbone(record: Record) -> Subject:
    """`Backbone_VMAMBA2`: the normed maps of `out_indices`."""
    arguments = Arguments(record)
    arch = _arch(arguments)
    return backbone_subject(VSSD, arguments, arch, lambda indices: [f'out{i}' for i in indices])


def _grid(record: Record) -> tuple[int, int]:
    height, width = record.call['grid']
    return height, width


def build_block(record: Record) -> Subject:
    """`VMAMBA2Block`."""
    arguments = Arguments(record)
    grid = _grid(record)
    width, heads = arguments.take('dim'), arguments.take('num_heads')
    arguments.only('act_layer', 'gelu')
    arguments.ignore('input_resolution', 'drop', 'drop_path')
    attention = _attention(arguments.take('attn_type'))
    arch = Arch((width,), (1,), (heads,), **_mixer_fields(arguments))
    arguments.end()
    block = Block(width, arch, heads=heads, attention=attention)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        return {'out': _tokens(block(inputs[0].unflatten(1, grid)))}

    return Subject(run, block, VSSD.AUTHOR_KEYS)


def build_mixer(record: Record) -> Subject:
    """`Mamba2`: convolution (channel-first), sum of the state and the skip, its norm, result."""
    arguments = Arguments(record)
    grid = _grid(record)
    _published_only(arguments)
    arguments.only('d_conv', 3)
    arguments.only('ngroups', 1)
    arguments.only('activation', 'silu')
    arguments.only('bias', False)
    arguments.only('conv_bias', True)
    arguments.only('learnable_init_states', False)
    arguments.ignore('chunk_size')
    width, ratio = arguments.take('d_model'), arguments.take('expand')
    mixer = NonCausalSSD(
        width,
        width * ratio // arguments.take('headdim'),
        state=arguments.take('d_state'),
        ratio=ratio,
        positive=bool(arguments.left.pop('ssd_positve_dA', True)),
    )
    arguments.end()
    taps = {
        'conv': Tap(mixer.conv),
        'mixed': Tap(mixer.out_norm, of_input=True),
        'normed': Tap(mixer.out_norm),
    }

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        out, seen = observe(mixer, [inputs[0].unflatten(1, grid)], taps)
        return {**seen, 'conv': channel_first(seen['conv']), 'out': _tokens(out)}

    return Subject(run, mixer, VSSD.AUTHOR_KEYS)


def build_attention(record: Record) -> Subject:
    """`StandardAttention`."""
    arguments = Arguments(record)
    width, heads = arguments.take('dim'), arguments.take('heads')
    arguments.only('dim_head', width // heads)
    arguments.ignore('dropout')
    arguments.end()
    mixer = SelfAttention(width, heads)
    return Subject(lambda inputs: {'out': mixer(*inputs)}, mixer, VSSD.AUTHOR_KEYS)


def build_stem(record: Record) -> Subject:
    """`Stem`, from an image to tokens."""
    arguments = Arguments(record)
    arguments.only('patch_size', 4)
    arguments.ignore('img_size')
    stem = ResidualConvStem(arguments.take('in_chans'), arguments.take('embed_dim'))
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        return {'out': _tokens(stem(channel_last(inputs[0])))}

    return Subject(run, stem, VSSD.AUTHOR_KEYS)


def build_downsample(record: Record) -> Subject:
    """`PatchMerging`, from tokens to tokens of the halved grid."""
    arguments = Arguments(record)
    grid = _grid(record)
    arguments.ignore('input_resolution')
    width, ratio = arguments.take('dim'), arguments.take('ratio')
    arguments.end()
    module = InvertedDownsample(width, 2 * width, ratio=ratio)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        return {'out': _tokens(module(inputs[0].unflatten(1, grid)))}

    return Subject(run, module, VSSD.AUTHOR_KEYS)


TARGETS = {
    'VMAMBA2': build_classifier,
    'Backbone_VMAMBA2': build_backbone,
    'VMAMBA2Block': build_block,
    'Mamba2': build_mixer,
    'StandardAttention': build_attention,
    'Stem': build_stem,
    'PatchMerging': build_downsample,
}
