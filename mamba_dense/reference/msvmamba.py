"""MSVMamba's golden records: the authors' targets and arguments, and ours for them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from ..backbones.msvmamba import Arch, Block, MSVMamba
from ..bricks import ConvMlp, SqueezeExcite
from ..mixers import MultiScaleSS2D
from ..routes import routes
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

FORWARD = {'vms': True, 'vms_noz': False}  # v3's forward_type -> gated


def _mixer_fields(arguments: Arguments, v3: bool) -> dict[str, Any]:
    """The `Arch` fields that the mixer's own options mean, shared by all targets."""
    arguments.only('add_se', True)
    if v3:
        arguments.only('full_res_index', 1)
        kind = arguments.take('forward_type')
        if kind not in FORWARD:
            raise UnsupportedError(f'forward_type={kind!r} is not built; known: vms, vms_noz')
        return {'gated': FORWARD[kind]}
    arguments.only('forward_type', 'v2')
    arguments.only('sscore_type', 'multiscale_4scan_12')
    arguments.only('ms_stage', [0, 1, 2, 3])
    arguments.only('ms_split', [1, 3])
    arguments.only('add_conv', True)
    arguments.only('sep_norm', False)
    arguments.only('ms_fusion', None)
    arguments.only('upsample', None)
    arguments.ignore('current_layer')
    return {'gated': True}


def _block_fields(arguments: Arguments, v3: bool) -> dict[str, Any]:
    """The `Arch` fields of the blocks, from arguments that networks and single blocks share."""
    arguments.only('ssm_act_layer', 'silu')
    arguments.only('ssm_conv', 3)
    arguments.only('ssm_conv_bias', True)
    arguments.only('mlp_act_layer', 'gelu')
    arguments.only('gmlp', False)
    arguments.only('post_norm', False)
    arguments.only('convffn' if v3 else 'convFFN', True)
    arguments.ignore(
        'ssm_rank_ratio', 'ssm_drop_rate', 'ssm_init', 'mlp_drop_rate', 'mlp_ratio', 'ffn_dropout'
    )
    return {
        'ratio': float(arguments.take('ssm_ratio')),
        'state': int(arguments.take('ssm_d_state')),
        'mlp_ratio': float(arguments.take('conv_ffn_ratio')) if v3 else 2.0,
        'v3': v3,
        **_mixer_fields(arguments, v3),
    }


def _arch(arguments: Arguments, v3: bool) -> dict[str, Any]:
    """A whole network's `Arch` as a mapping."""
    sizes = take_sizes(arguments)
    check_rank(arguments, 'ssm_dt_rank', *sizes['dims'])
    arguments.only('patch_size', 4)
    arguments.only('patch_norm', True)
    arguments.only('posembed', False)
    arguments.only('norm_layer', 'ln2d' if v3 else 'ln')
    arguments.only('patchembed_version', 'v2' if v3 else 'v1')
    arguments.only('downsample_version', 'v3' if v3 else 'v1')
    arguments.ignore('imgsize', 'drop_path_rate')
    return {**sizes, **_block_fields(arguments, v3)}


def build_classifier(record: Record, *, v3: bool) -> Subject:
    """`VSSM`: stem, every stage before and after its downsampling, logits."""
    arguments = Arguments(record)
    model = classifier(MSVMamba, arguments, _arch(arguments, v3))
    layout = (channel_first,) if v3 else ()
    return classifier_subject(model, level_taps(model.backbone), *layout)


def build_backbone(record: Record, *, v3: bool) -> Subject:
    """`Backbone_VSSM`: the normed maps of `out_indices`."""
    arguments = Arguments(record)
    arch = _arch(arguments, v3)
    return backbone_subject(MSVMamba, arguments, arch, lambda indices: [f'out{i}' for i in indices])


def build_block(record: Record, *, v3: bool) -> Subject:
    """`VSSBlock`: channel-last in the first generation, channel-first in v3."""
    arguments = Arguments(record)
    width = arguments.take('hidden_dim')
    check_rank(arguments, 'ssm_dt_rank', width)
    arguments.only('norm_layer', 'layernorm2d' if v3 else 'layernorm')
    arguments.only('channel_first', v3)
    arguments.ignore('drop_path')
    arch = Arch((width,), (1,), **_block_fields(arguments, v3))
    arguments.end()
    block = Block(width, arch)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        if v3:
            return {'out': channel_first(block(channel_last(inputs[0])))}
        return {'out': block(*inputs)}

    return Subject(run, block, MSVMamba.AUTHOR_KEYS)


def build_mixer(record: Record, *, v3: bool) -> Subject:
    """`SS2D`: both convolutions, what the scans give before and after their norm, the gate's."""
    arguments = Arguments(record)
    width = arguments.take('d_model')
    check_rank(arguments, 'dt_rank', width)
    arguments.only('act_layer', 'silu')
    arguments.only('d_conv', 3)
    arguments.only('conv_bias', True)
    arguments.only('bias', False)
    arguments.only('channel_first', v3)
    arguments.ignore('dropout', 'initialize', 'ssm_rank_ratio')
    mixer = MultiScaleSS2D(
        width,
        ratio=arguments.take('ssm_ratio'),
        state=arguments.take('d_state'),
        norm_first=not v3,
        **_mixer_fields(arguments, v3),
    )
    arguments.end()
    observe_norms = _merged if v3 else _branches
    taps = {
        'conv_full': Tap(mixer.conv),
        'conv_low': Tap(mixer.conv_low),
        'before_se': Tap(mixer.channel_gate, of_input=True),
        'after_se': Tap(mixer.channel_gate),
    }

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        x = channel_last(inputs[0]) if v3 else inputs[0]
        (out, norms), seen = observe(lambda y: observe_norms(mixer, y), (x,), taps)
        maps = {name: channel_first(y) for name, y in seen.items()}
        return {**maps, **norms, 'out': channel_first(out) if v3 else out}

    return Subject(run, mixer, MSVMamba.AUTHOR_KEYS)


def _merged(mixer: MultiScaleSS2D, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """v3: the merged map before and after the norm, channel-first."""
    norm = mixer.out_norm
    taps = {'merged': Tap(norm, of_input=True), 'normed': Tap(norm)}
    out, seen = observe(mixer, (x,), taps)
    return out, {name: channel_first(y) for name, y in seen.items()}


def _branches(mixer: MultiScaleSS2D, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """First generation: each branch before and after the norm, in the order of its steps."""
    passed: list[tuple[Tensor, Tensor]] = []
    hook = mixer.out_norm.register_forward_hook(
        lambda _norm, given, result: passed.append((given[0], result))
    )
    try:
        out = mixer(x)
    finally:
        hook.remove()
    full, low = passed
    order = routes('copies-in-turn', tuple(low[0].shape[1:4])).order[0].long()
    seen = {}
    for name, y_full, y_low in zip(('scan', 'normed'), full, low, strict=True):
        seen[f'full_{name}'] = y_full.flatten(1, 2)  # (B, H * W, D)
        seen[f'low_{name}'] = y_low.flatten(1, 3)[:, order]  # (B, 3 * h * w, D)
    return out, seen


def build_conv_ffn(record: Record) -> Subject:
    """`ConvFFN`, channel-first."""
    arguments = Arguments(record)
    width = arguments.take('channels')
    module = ConvMlp(width, width * arguments.take('expansion'))
    arguments.ignore('drop')
    arguments.end()
    return Subject(_first(module), module, MSVMamba.AUTHOR_KEYS)


def build_gate(record: Record) -> Subject:
    """`SEModule`, channel-first."""
    arguments = Arguments(record)
    arguments.only('act_layer', 'relu')
    arguments.only('gate_layer', 'sigmoid')
    width = arguments.take('channels')
    hidden = width // arguments.take('reduction')
    module = SqueezeExcite(width, hidden, bias=False, linear=True)
    arguments.end()
    return Subject(_first(module), module, MSVMamba.AUTHOR_KEYS)


def _first(module: ConvMlp | SqueezeExcite) -> Callable[[tuple[Tensor, ...]], Outputs]:
    return lambda inputs: {'out': channel_first(module(channel_last(inputs[0])))}


_BOTH = {
    'VSSM': build_classifier,
    'Backbone_VSSM': build_backbone,
    'VSSBlock': build_block,
    'SS2D': build_mixer,
}
TARGETS = {
    **{name: partial(build, v3=False) for name, build in _BOTH.items()},
    **{f'{name}_v3': partial(build, v3=True) for name, build in _BOTH.items()},
    'ConvFFN': build_conv_ffn,
    'SEModule': build_gate,
}
