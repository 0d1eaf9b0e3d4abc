"""MambaOut's golden records: the authors' targets and arguments, and ours for them."""

from typing import Any

from torch import Tensor

from ..backbones.mambaout import EPS, Arch, Block, MambaOut
from ..bricks import ConvStem
from ..classification import ImageClassifier
from .record import Record
from .subject import Arguments, Outputs, Subject, Tap, channel_first, channel_last, observe


def _layers(arguments: Arguments) -> None:
    """What every target says of its norms and activations."""
    arguments.only('norm_layer', 'layernorm')
    arguments.only('norm_eps', EPS)
    arguments.only('act_layer', 'gelu')


def _block_fields(arguments: Arguments) -> dict[str, Any]:
    _layers(arguments)
    return {
        'ratio': float(arguments.take('expansion_ratio')),
        'conv_ratio': float(arguments.take('conv_ratio')),
        'kernel': int(arguments.take('kernel_size')),
    }


def build_classifier(record: Record) -> Subject:
    """`MambaOut`: every stage and what comes before it, the pooled feature, logits."""
    arguments = Arguments(record)
    dims = tuple(arguments.take('dims'))
    depths = tuple(arguments.take('depths'))
    arch = {'dims': dims, 'depths': depths, **_block_fields(arguments)}
    channels, classes = arguments.take('in_chans'), arguments.take('num_classes')
    arguments.only('head_fn', 'mlphead')
    ratio = arguments.take('head_mlp_ratio')
    arguments.ignore('drop_path_rate', 'head_dropout')
    arguments.end()
    model = ImageClassifier(
        {
            'type': 'mamba_dense.MambaOut',
            'arch': arch,
            'in_channels': channels,
            'out_indices': (len(dims) - 1,),
        },
        {
            'type': 'mamba_dense.PoolNormMlp',
            'in_channels': dims[-1],
            'num_classes': classes,
            'ratio': ratio,
        },
    )
    backbone = model.backbone
    taps = {'pooled_normed': Tap(model.head.pool_norm), 'down0_nhwc': Tap(backbone.stem)}
    for i, stage in enumerate(backbone.stages):
        taps[f'stage{i}_nchw'] = Tap(stage.blocks[-1])
        if stage.downsample is not None:
            taps[f'down{i + 1}_nhwc'] = Tap(stage.downsample)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        logits, seen = observe(model, inputs, taps)
        levels = {n: channel_first(x) if n.endswith('_nchw') else x for n, x in seen.items()}
        return {**levels, 'logits': logits}

    return Subject(run, model, model.AUTHOR_KEYS)


def build_block(record: Record) -> Subject:
    """`GatedCNNBlock`, channel-last."""
    arguments = Arguments(record)
    width = arguments.take('dim')
    arguments.ignore('drop_path')
    arch = Arch(dims=(width,), depths=(1,), **_block_fields(arguments))
    arguments.end()
    block = Block(width, arch)
    return Subject(lambda inputs: {'out': block(*inputs)}, block, MambaOut.AUTHOR_KEYS)


def build_stem(record: Record) -> Subject:
    """`StemLayer`: from a channel-first image to channel-last tokens."""
    arguments = Arguments(record)
    _layers(arguments)
    stem = ConvStem(arguments.take('in_channels'), arguments.take('out_channels'), eps=EPS)
    arguments.end()
    return Subject(
        lambda inputs: {'out': stem(channel_last(inputs[0]))}, stem, MambaOut.AUTHOR_KEYS
    )


TARGETS = {
    'MambaOut': build_classifier,
    'GatedCNNBlock': build_block,
    'StemLayer': build_stem,
}
