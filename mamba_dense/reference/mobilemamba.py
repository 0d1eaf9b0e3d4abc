"""MobileMamba's golden records: the authors' targets and arguments, and ours for them."""

from typing import Any

from torch import Tensor, nn

from ..backbones.mobilemamba import Arch, Block, InvertedMerging, MobileMamba
from ..bricks import Haar
from ..classification import ImageClassifier
from ..mixers import MultiReceptiveMixer, NormedSS2D, WaveletScan
from .record import Record
from .subject import Arguments, Outputs, Subject, Tap, channel_first, channel_last, observe

DOWN_OPS = [['subsample', 2], ['subsample', 2], ['']]


def _arch(arguments: Arguments) -> dict[str, Any]:
    """A whole network's `Arch` as a mapping."""
    arguments.only('stages', ['s', 's', 's'])
    arguments.only('down_ops', DOWN_OPS)
    arguments.only('forward_type', 'v052d')
    arguments.ignore('img_size', 'drop_path')
    return {
        'dims': tuple(arguments.take('embed_dim')),
        'depths': tuple(arguments.take('depth')),
        'scan_ratios': tuple(arguments.take('global_ratio')),
        'local_ratios': tuple(arguments.take('local_ratio')),
        'kernels': tuple(arguments.take('kernels')),
        'ratio': float(arguments.take('ssm_ratio')),
    }


def build_classifier(record: Record) -> Subject:
    """`MobileMamba`: stem, every stage, logits."""
    arguments = Arguments(record)
    arch = _arch(arguments)
    channels, classes = arguments.take('in_chans'), arguments.take('num_classes')
    distilled = arguments.take('distillation')
    arguments.end()
    backbone = {
        'type': 'mamba_dense.MobileMamba',
        'arch': arch,
        'in_channels': channels,
        'out_indices': (len(arch['dims']) - 1,),
    }
    head = {
        'type': 'mamba_dense.PoolNormLinear',
        'in_channels': arch['dims'][-1],
        'num_classes': classes,
        'distilled': distilled,
    }
    model = ImageClassifier(backbone, head)
    stages = model.backbone.stages
    taps = {'stem': Tap(model.backbone.stem)}
    taps |= {f'blocks{i + 1}': Tap(stage.blocks[-1]) for i, stage in enumerate(stages)}

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        logits, seen = observe(model, inputs, taps)
        return {**{name: channel_first(x) for name, x in seen.items()}, 'logits': logits}

    return Subject(run, model, model.AUTHOR_KEYS)


def build_backbone(record: Record) -> Subject:
    """`Backbone_MobileMamba`: the maps of `out_indices`, which count the stem as the first."""
    arguments = Arguments(record)
    arch = _arch(arguments)
    channels, indices = arguments.take('in_chans'), arguments.take('out_indices')
    arguments.ignore('norm_eval')
    arguments.end()
    model = MobileMamba(arch, in_channels=channels, out_indices=[i - 1 for i in indices])

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        return {f'feat{i}': x for i, x in enumerate(model(*inputs))}

    return Subject(run, model, model.AUTHOR_KEYS)


def _part(module: nn.Module) -> Subject:
    """A channel-last module of one input and one output, recorded channel-first."""

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        return {'out': channel_first(module(channel_last(inputs[0])))}

    return Subject(run, module, MobileMamba.AUTHOR_KEYS)


def build_block(record: Record) -> Subject:
    """`MobileMambaBlock`."""
    arguments = Arguments(record)
    arguments.only('type', 's')
    arguments.only('has_skip', True)
    arguments.only('forward_type', 'v052d')
    width = arguments.take('ed')
    arch = Arch(
        dims=(width,),
        depths=(1,),
        scan_ratios=(arguments.take('global_ratio'),),
        local_ratios=(arguments.take('local_ratio'),),
        kernels=(arguments.take('kernels'),),
        ratio=float(arguments.take('ssm_ratio')),
    )
    arguments.end()
    return _part(Block(width, arch, 0))


def build_mixer(record: Record) -> Subject:
    """`MobileMambaModule`."""
    arguments = Arguments(record)
    arguments.only('forward_type', 'v052d')
    mixer = MultiReceptiveMixer(
        arguments.take('dim'),
        scan_ratio=arguments.take('global_ratio'),
        local_ratio=arguments.take('local_ratio'),
        kernel=arguments.take('kernels'),
        ratio=float(arguments.take('ssm_ratio')),
    )
    arguments.end()
    return _part(mixer)


def build_wavelet_scan(record: Record) -> Subject:
    """`MBWTConv2d`."""
    arguments = Arguments(record)
    width = arguments.take('in_channels')
    arguments.only('out_channels', width)
    arguments.only('stride', 1)
    arguments.only('wt_levels', 1)
    arguments.only('wt_type', 'db1')
    arguments.only('forward_type', 'v052d')
    arguments.ignore('bias')  # taken by the authors' class, and used nowhere
    kernel, ratio = arguments.take('kernel_size'), float(arguments.take('ssm_ratio'))
    arguments.end()
    return _part(WaveletScan(width, kernel=kernel, ratio=ratio))


def build_ss2d(record: Record) -> Subject:
    """`SS2D` of two routes, with BatchNorm in its projections."""
    arguments = Arguments(record)
    width, ratio = arguments.take('d_model'), float(arguments.take('ssm_ratio'))
    arguments.only('d_state', 1)
    arguments.only('dt_rank', 'auto')
    arguments.only('act_layer', 'silu')
    arguments.only('d_conv', 3)
    arguments.only('conv_bias', True)
    arguments.only('bias', False)
    arguments.only('forward_type', 'v052d')
    arguments.only('channel_first', True)
    arguments.only('k_group', 2)
    arguments.ignore('initialize')
    arguments.end()
    return _part(NormedSS2D(width, ratio=ratio))


def build_merging(record: Record) -> Subject:
    """`PatchMerging`."""
    arguments = Arguments(record)
    width, out_width = arguments.take('dim'), arguments.take('out_dim')
    arguments.end()
    return _part(InvertedMerging(width, out_width))


def build_wavelet(record: Record) -> Subject:
    """`wavelet_transform` and its inverse with the filters of db1."""
    arguments = Arguments(record)
    arguments.only('wave', 'db1')
    width = arguments.take('channels')
    arguments.end()
    module = Haar(width).double()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        x = channel_last(inputs[0])
        bands = module.split(x)
        B, H, W, _ = bands.shape
        back = module.merge(bands, tuple(x.shape[1:3]))
        return {
            'dec_filters': module.analysis,
            'rec_filters': module.synthesis,
            'subbands': channel_first(bands).reshape(B, width, 4, H, W),
            'reconstructed': channel_first(back),
        }

    return Subject(run)


TARGETS = {
    'MobileMamba': build_classifier,
    'Backbone_MobileMamba': build_backbone,
    'MobileMambaBlock': build_block,
    'MobileMambaModule': build_mixer,
    'MBWTConv2d': build_wavelet_scan,
    'SS2D': build_ss2d,
    'PatchMerging': build_merging,
    'wavelet_transform': build_wavelet,
}
