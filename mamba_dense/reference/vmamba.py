"""VMamba's golden records: the authors' targets and arguments, and ours for them."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..backbones.vmamba import Arch, Block, VMamba
from ..bricks import PatchMerging
from ..mixers import SS2D, CascadeSS2D
from .record import Record
from .staged import (
    backbone_subject,
    check_rank,
    classifier,
    classifier_subject,
    level_taps,
    take_sizes,
)
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

# Cores of the authors' forward_type, as fields of `Arch`. v01 to v05, v2 and v3 are one function,
# written several ways; v0 has a gate and a convolution bias whatever else is said.
CROSS = {'routes': 'cross'}
CORES: dict[str, dict[str, Any]] = {
    **{f'v0{i}': CROSS for i in range(1, 6)},
    'v2': CROSS,
    'v3': CROSS,
    'v051d': {'routes': 'one-way'},
    'v052d': {'routes': 'two-way'},
    'v052dc': {'cascade': True},
}
SPELLINGS = {'v3noz': 'v3_noz'}  # of ChangeMamba's copy
STEMS = {'v1': True, 'v2': False}  # patchembed_version -> Arch.patch_stem
DOWNSAMPLES = {'v1': True, 'v3': False}  # downsample_version -> Arch.patch_merging
NORMS = {'ln': False, 'layernorm': False, 'ln2d': True, 'layernorm2d': True}  # -> channel-first


def _mixer_fields(arguments: Arguments, conv_bias: bool) -> dict[str, Any]:
    """The `Arch` fields that a forward_type means."""
    whole = arguments.take('forward_type')
    whole = SPELLINGS.get(whole, whole)
    if whole == 'v0':
        return {'routes': 'cross', 'gated': True, 'conv_bias': True}
    core, _, rest = whole.partition('_')
    marks = rest.split('_') if rest else []
    unknown = [mark for mark in marks if mark not in ('noz', 'no32')]
    if core not in CORES or unknown:
        raise UnsupportedError(
            f'forward_type={whole!r} is not built; known: v0, {", ".join(CORES)}, and these but v0 '
            'with _noz'
        )
    return {**CORES[core], 'gated': 'noz' not in marks, 'conv_bias': conv_bias}


def _look_up(arguments: Arguments, name: str, table: dict[str, bool]) -> bool:
    value = str(arguments.take(name)).lower().removeprefix('nn.')
    if value not in table:
        raise UnsupportedError(f'{name}={value!r} is not built; known: {", ".join(table)}')
    return table[value]


def block_fields(arguments: Arguments) -> dict[str, Any]:
    """The `Arch` fields of the blocks, from arguments that networks and single blocks share."""
    arguments.only('ssm_act_layer', 'silu')
    arguments.only('ssm_conv', 3)
    arguments.only('mlp_act_layer', 'gelu')
    arguments.only('gmlp', False)
    arguments.only('post_norm', False)
    arguments.ignore('ssm_drop_rate', 'ssm_init', 'mlp_drop_rate', 'use_checkpoint')
    return {
        'ratio': float(arguments.take('ssm_ratio')),
        'state': int(arguments.take('ssm_d_state')),
        'mlp_ratio': float(arguments.take('mlp_ratio')),
        **_mixer_fields(arguments, bool(arguments.take('ssm_conv_bias'))),
    }


def arch_fields(arguments: Arguments) -> tuple[dict[str, Any], bool]:
    """A whole network's `Arch` as a mapping, and whether the authors' runs channel-first."""
    sizes = take_sizes(arguments)
    check_rank(arguments, 'ssm_dt_rank', *sizes['dims'])
    arguments.only('patch_size', 4)
    arguments.only('patch_norm', True)
    arguments.only('posembed', False)
    arguments.ignore('imgsize', 'drop_path_rate')
    first = _look_up(arguments, 'norm_layer', NORMS)
    arch = {
        **sizes,
        'patch_stem': _look_up(arguments, 'patchembed_version', STEMS),
        'patch_merging': _look_up(arguments, 'downsample_version', DOWNSAMPLES),
        **block_fields(arguments),
    }
    return arch, first


def build_classifier(record: Record) -> Subject:
    """`VSSM`: stem, every stage before and after its downsampling, logits."""
    arguments = Arguments(record)
    arch, first = arch_fields(arguments)
    model = classifier(VMamba, arguments, arch)
    layout = (channel_first,) if first else ()
    return classifier_subject(model, level_taps(model.backbone), *layout)


def build_backbone(record: Record) -> Subject:
    """`Backbone_VSSM`: the normed maps of `out_indices`, named by stage (or by position)."""
    arguments = Arguments(record)
    arch, _ = arch_fields(arguments)

    def names(indices: Sequence[int]) -> list[str]:
        by_stage = [f'out{i}' for i in indices]
        by_position = [f'out{i}' for i in range(len(indices))]
        return by_stage if set(record.outputs) <= set(by_stage) else by_position

    return backbone_subject(VMamba, arguments, arch, names)


def _is_channel_first(record: Record) -> bool:
    if record.layout not in ('BCHW', 'BHWC'):
        raise UnsupportedError(f'{record.target}: layout={record.layout!r}; known: BCHW, BHWC')
    return record.layout == 'BCHW'


def build_block(record: Record) -> Subject:
    """`VSSBlock`."""
    arguments = Arguments(record)
    first = _is_channel_first(record)
    width = arguments.take('hidden_dim')
    check_rank(arguments, 'ssm_dt_rank', width)
    _look_up(arguments, 'norm_layer', NORMS)
    arguments.ignore('drop_path', 'channel_first')
    arch = Arch(dims=(width,), depths=(1,), **block_fields(arguments))
    arguments.end()
    block = Block(width, arch)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        x = block(channel_last(inputs[0]) if first else inputs[0])
        return {'out': channel_first(x) if first else x}

    return Subject(run, block, VMamba.AUTHOR_KEYS)


def build_mixer(record: Record) -> Subject:
    """`SS2D`: convolution (always channel-first), sum of the scans, its norm, result."""
    arguments = Arguments(record)
    first = _is_channel_first(record)
    width = arguments.take('d_model')
    check_rank(arguments, 'dt_rank', width)
    arguments.only('act_layer', 'silu')
    arguments.only('d_conv', 3)
    arguments.only('bias', False)
    arguments.ignore('dropout', 'initialize', 'channel_first')
    options = _mixer_fields(arguments, bool(arguments.take('conv_bias')))
    options |= {'ratio': arguments.take('ssm_ratio'), 'state': arguments.take('d_state')}
    arguments.end()
    mixer = (CascadeSS2D if options.pop('cascade', False) else SS2D)(width, **options)
    taps = {
        'conv': Tap(mixer.conv),
        'merged': Tap(mixer.out_norm, of_input=True),
        'normed': Tap(mixer.out_norm),
    }

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        x, seen = observe(mixer, [channel_last(x) if first else x for x in inputs], taps)
        seen['out'] = x
        return {n: channel_first(x) if first or n == 'conv' else x for n, x in seen.items()}

    return Subject(run, mixer, VMamba.AUTHOR_KEYS)


def build_patch_merging(record: Record) -> Subject:
    """`PatchMerging2D`, channel-last."""
    arguments = Arguments(record)
    arguments.only('channel_first', False)
    arguments.only('norm_layer', 'layernorm', 'ln')
    width, out_width = arguments.take('dim'), arguments.take('out_dim', default=-1)
    arguments.end()
    module = PatchMerging(width, 2 * width if out_width < 0 else out_width)
    return Subject(lambda inputs: {'out': module(*inputs)}, module, VMamba.AUTHOR_KEYS)


TARGETS = {
    'VSSM': build_classifier,
    'Backbone_VSSM': build_backbone,
    'VSSBlock': build_block,
    'SS2D': build_mixer,
    'PatchMerging2D': build_patch_merging,
}
