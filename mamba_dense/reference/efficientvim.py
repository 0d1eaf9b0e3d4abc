"""EfficientViM's golden records: the authors' targets and arguments, and ours for them."""

from typing import Any

from torch import Tensor

from ..backbones.efficientvim import Arch, Block, Downsample, EfficientViM, Stem
from ..bricks import ExtendedFPN
from ..classification import ImageClassifier
from ..mixers import HiddenStateMixer
from .record import Record
from .subject import Arguments, Outputs, Subject, Tap, channel_first, channel_last, observe


def _arch(arguments: Arguments) -> dict[str, Any]:
    return {
        'dims': tuple(arguments.take('embed_dim')),
        'depths': tuple(arguments.take('depths')),
        'states': tuple(arguments.take('state_dim')),
        'mlp_ratio': float(arguments.take('mlp_ratio')),
        'ratio': float(arguments.take('ssd_expand')),
    }


def build_classifier(record: Record) -> Subject:
    """`EfficientViM`: stem, every stage's map and hidden states, logits."""
    arguments = Arguments(record)
    arch = _arch(arguments)
    channels, classes = arguments.take('in_dim'), arguments.take('num_classes')
    distillation = arguments.take('distillation')
    arguments.end()
    stages = len(arch['dims'])
    model = ImageClassifier(
        {
            'type': 'mamba_dense.EfficientViM',
            'arch': arch,
            'in_channels': channels,
            'out_indices': tuple(range(stages)),
            'hidden_states': True,
        },
        {
            'type': 'mamba_dense.HiddenStateFusion',
            'in_channels': arch['dims'],
            'num_classes': classes,
            'distillation': distillation,
        },
    )
    taps = {'stem': Tap(model.backbone.stem), 'features': Tap(model.backbone)}

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        logits, seen = observe(model, inputs, taps)
        features = seen['features']
        outputs = {'stem': channel_first(seen['stem']), 'logits': logits}
        for i in range(stages):
            outputs[f'stage{i}_out'] = features[i]
            outputs[f'stage{i}_hidden'] = features[stages + i].mT
        return outputs

    return Subject(run, model, model.AUTHOR_KEYS)


def build_backbone(record: Record) -> Subject:
    """`EfficientViM` of the detection folder: the maps of all stages."""
    arguments = Arguments(record)
    model = EfficientViM(_arch(arguments), in_channels=arguments.take('in_dim'))
    arguments.end()
    return Subject(
        lambda inputs: {f'feat{i}': x for i, x in enumerate(model(*inputs))},
        model,
        model.AUTHOR_KEYS,
    )


def build_block(record: Record) -> Subject:
    """`EfficientViMBlock`: map and hidden states."""
    arguments = Arguments(record)
    width, states = arguments.take('dim'), arguments.take('state_dim')
    mlp_ratio, ratio = arguments.take('mlp_ratio'), arguments.take('ssd_expand')
    arguments.end()
    arch = Arch((width,), (1,), (states,), mlp_ratio=mlp_ratio, ratio=ratio)
    block = Block(width, states, arch)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        x, h = block(channel_last(inputs[0]))
        return {'x': channel_first(x), 'h': h.mT}

    return Subject(run, block, EfficientViM.AUTHOR_KEYS)


def build_mixer(record: Record) -> Subject:
    """`HSMSSD`, called with channel-first tokens and their grid."""
    arguments = Arguments(record)
    width, states = arguments.take('d_model'), arguments.take('state_dim')
    mixer = HiddenStateMixer(width, states, ratio=arguments.take('ssd_expand'))
    arguments.end()
    grid = record.call['grid']

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        y, h = mixer(channel_last(inputs[0].unflatten(2, grid)))
        return {'y': channel_first(y), 'h': h.mT}

    return Subject(run, mixer, EfficientViM.AUTHOR_KEYS)


def build_downsample(record: Record) -> Subject:
    """`PatchMerging`."""
    arguments = Arguments(record)
    module = Downsample(arguments.take('in_dim'), arguments.take('out_dim'))
    arguments.end()
    return Subject(
        lambda inputs: {'out': channel_first(module(channel_last(inputs[0])))},
        module,
        EfficientViM.AUTHOR_KEYS,
    )


def build_stem(record: Record) -> Subject:
    """`Stem`."""
    arguments = Arguments(record)
    stem = Stem(arguments.take('in_dim'), arguments.take('dim'))
    arguments.end()
    return Subject(
        lambda inputs: {'out': channel_first(stem(channel_last(inputs[0])))},
        stem,
        EfficientViM.AUTHOR_KEYS,
    )


def build_neck(record: Record) -> Subject:
    """`EfficientViTFPN`: the levels, finest first."""
    arguments = Arguments(record)
    widths, width = arguments.take('in_channels'), arguments.take('out_channels')
    finer = arguments.take('num_extra_trans_convs')
    extra = arguments.take('num_outs') - len(widths) - finer
    arguments.only('add_extra_convs', *([False] if extra == 0 else ['on_input']))
    arguments.only('start_level', 0)
    arguments.only('end_level', -1)
    arguments.only('relu_before_extra_convs', False)
    norm_inputs = arguments.take('pre_norm')
    for name in ('conv_cfg', 'norm_cfg', 'act_cfg'):
        arguments.only(name, None)
    arguments.only('upsample_cfg', {'mode': 'nearest'})
    arguments.ignore('extra_convs_on_inputs', 'no_norm_on_lateral')
    arguments.end()
    neck = ExtendedFPN(widths, width, finer=finer, coarser=extra, norm_inputs=norm_inputs)
    return Subject(
        lambda inputs: {f'p{i}': x for i, x in enumerate(neck(inputs))},
        neck,
        EfficientViM.NECK_KEYS,
    )


TARGETS = {
    'EfficientViM': build_classifier,
    'Backbone_EfficientViM': build_backbone,
    'EfficientViMBlock': build_block,
    'HSMSSD': build_mixer,
    'PatchMerging': build_downsample,
    'Stem': build_stem,
    'EfficientViTFPN': build_neck,
}
