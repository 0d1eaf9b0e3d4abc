"""xLSTM-UNet's golden records: the networks in 2-D and 3-D, blocks, nnU-Net's loss, scores."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mamba_kernels import mlstm

from ..backbones.xlstm_unet import Arch, LSTMBlock, XLSTMEncoder
from ..bricks import ResidualBlock
from ..medical.instances import match_instances
from ..medical.nnunet_loss import NnUNetLoss
from ..medical.scores import Counts
from ..medical.supervision import supervised
from ..medical.surface_dice import area_surface_dice
from ..medical.xlstm_unet import NearestUpsample, XLSTMDecoder
from ..mixers import GroupedLinear, MatrixLSTM, MultiHeadNorm, VisionLSTM
from ..weights import JointKeys
from .record import Record
from .subject import Arguments, Outputs, Subject, Tap, UnsupportedError, observe

KEYS = JointKeys((('backbone.', XLSTMEncoder.AUTHOR_KEYS), ('decoder.', XLSTMDecoder.AUTHOR_KEYS)))
AXES = {'conv2d': 2, 'conv3d': 3}


def take_axes(arguments: Arguments) -> int:
    """2 or 3, by the authors' class of convolution."""
    name = arguments.take('conv_op')
    if name.lower() not in AXES:
        raise UnsupportedError(f'{arguments.target}: conv_op={name!r} is not built')
    return AXES[name.lower()]


def take_norms(arguments: Arguments) -> None:
    """The one norm and activation of these networks."""
    arguments.only('norm_op', 'instancenorm2d', 'instancenorm3d')
    arguments.only('norm_op_kwargs', {'eps': 1e-5, 'affine': True})
    arguments.only('nonlin', 'leakyrelu')
    arguments.only('nonlin_kwargs', {'inplace': True})


def take_plainness(arguments: Arguments) -> None:
    """What nnU-Net's blocks could have beside it."""
    arguments.only('conv_bias', True)
    arguments.only('dropout_op', None)
    arguments.only('dropout_op_kwargs', None)


def rows(values: list) -> tuple:
    """Lists of an architecture as tuples."""
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def take_arch(record: Record, arguments: Arguments) -> Arch:
    """The plan, and the depths that the authors' constructors make of it."""
    stages, axes = arguments.take('n_stages'), take_axes(arguments)
    depths = arguments.take('n_conv_per_stage')
    up = arguments.take('n_conv_per_stage_decoder')
    along = record.target == 'UXlstmEnc'
    shallow, deep = math.ceil(stages / 2), math.ceil((stages - 1) / 2 + 0.5)
    return Arch(
        dims=rows(arguments.take('features_per_stage')),
        depths=tuple(depth if i < shallow else 1 for i, depth in enumerate(depths)),
        decoder_depths=tuple(depth if i < deep else 1 for i, depth in enumerate(up)),
        strides=rows(arguments.take('strides')),
        kernels=rows(arguments.take('kernel_sizes')),
        spatial_dims=axes,
        along=along,
        patch_size=rows(arguments.take('input_size')) if along else None,
    )


def build_network(record: Record) -> Subject:
    """`UXlstmBot` and `UXlstmEnc`: what goes to the decoder, its stages, logits of each."""
    arguments = Arguments(record)
    take_norms(arguments)
    take_plainness(arguments)
    arguments.only('stem_channels', None)
    arch = take_arch(record, arguments)
    encoder = XLSTMEncoder(arch, in_channels=arguments.take('input_channels'))
    decoder = XLSTMDecoder(
        encoder.out_channels,
        arguments.take('num_classes'),
        arch=arch,
        deep_supervision=bool(arguments.take('deep_supervision', default=0)),
    )
    arguments.end()
    module = nn.ModuleDict({'backbone': encoder, 'decoder': decoder})
    bottom = {} if arch.along else {'bottleneck_in': Tap(encoder.stages[-1].tail, of_input=True)}
    ups = {f'dec{i}': Tap(stage) for i, stage in enumerate(decoder.stages)}
    keys = JointKeys(
        (('backbone.', encoder.AUTHOR_KEYS), ('decoder.', decoder.AUTHOR_KEYS)),
    )

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        features, first = observe(encoder, inputs, bottom)
        maps, seen = observe(decoder, (features,), ups)
        skips = {f'skip{i}': x for i, x in enumerate(features)}
        return {**first, **skips, **seen, **{f'seg{i}': x for i, x in enumerate(maps)}}

    return Subject(run, module, keys)


def alone(part: nn.Module) -> Subject:
    """A part of the network, in the layout of the record."""
    return Subject(lambda inputs: {'out': part(*inputs)}, part, KEYS)


def build_residual_block(record: Record) -> Subject:
    """`BasicResBlock`, whose shortcut is a convolution, and `BasicBlockD`, whose is none."""
    arguments = Arguments(record)
    take_norms(arguments)
    take_plainness(arguments)
    project = record.target == 'BasicResBlock'
    axes, kernel = take_axes(arguments), arguments.take('kernel_size')
    arguments.only('padding', [side // 2 for side in kernel])
    arguments.only('use_1x1conv', True)
    arguments.only('stochastic_depth_p', 0.0)
    arguments.only('squeeze_excitation', False)
    widths = arguments.take('input_channels'), arguments.take('output_channels')
    block = ResidualBlock(
        axes, *widths, kernel=kernel, stride=arguments.take('stride'), project=project
    )
    arguments.end()
    return alone(block)


def build_upsample(record: Record) -> Subject:
    """`UpsampleLayer`."""
    arguments = Arguments(record)
    arguments.only('mode', 'nearest')
    axes = take_axes(arguments)
    widths = arguments.take('input_channels'), arguments.take('output_channels')
    layer = NearestUpsample(axes, *widths, arguments.take('pool_op_kernel_size'))
    arguments.end()
    return alone(layer)


def take_reverse(arguments: Arguments) -> bool:
    """Whether the tokens run from the last to the first."""
    first, last = 'rowwise_from_top_left', 'rowwise_from_bot_right'
    direction = arguments.take('direction')
    if direction not in (first, last):
        raise UnsupportedError(f'{arguments.target}: direction={direction!r} is not built')
    return direction == last


def build_wrapper(record: Record) -> Subject:
    """`ViLLayer` of the U-Nets: a map through a block, and a norm that is not used."""
    arguments = Arguments(record)
    block = LSTMBlock(
        arguments.take('dim'), of_channels=bool(arguments.take('channel_token', default=0))
    )
    arguments.end()
    return alone(block)


def build_block(record: Record) -> Subject:
    """`ViLBlock` over (B, L, C): the wrapper of a sequence, without its norm."""
    arguments = Arguments(record)
    arguments.only('norm_bias', False)
    arguments.ignore('drop_path')
    block = LSTMBlock(arguments.take('dim'), reverse=take_reverse(arguments))
    arguments.end()
    del block.unused
    return Subject(lambda inputs: {'out': block(inputs[0].mT).mT}, block, KEYS)


def build_layer(record: Record) -> Subject:
    """`ViLLayer` of Vision-LSTM: its mixer, over (B, L, C)."""
    arguments = Arguments(record)
    dim = arguments.take('dim')
    arguments.only('expansion', 2)
    arguments.only('qkv_block_size', 2 if dim % 4 else 4)
    arguments.only('proj_bias', False)
    arguments.only('conv_bias', True)
    arguments.only('kernel_size', 4)
    mixer = VisionLSTM(dim, reverse=take_reverse(arguments))
    arguments.end()
    return alone(mixer)


def build_cell(record: Record) -> Subject:
    """`MatrixLSTMCell`."""
    arguments = Arguments(record)
    cell = MatrixLSTM(arguments.take('dim'), arguments.take('num_heads'))
    arguments.end()
    return alone(cell)


def build_linear(record: Record) -> Subject:
    """`LinearHeadwiseExpand`."""
    arguments = Arguments(record)
    arguments.only('bias', False)
    dim = arguments.take('dim')
    linear = GroupedLinear(dim, dim // arguments.take('num_heads'))
    arguments.end()
    return alone(linear)


def build_norm(record: Record) -> Subject:
    """`MultiHeadLayerNorm` over (B, heads, L, width)."""
    arguments = Arguments(record)
    for name, value in (('weight', True), ('bias', False), ('residual_weight', True)):
        arguments.only(name, value)
    norm = MultiHeadNorm(arguments.take('ndim'), eps=arguments.take('eps'))
    arguments.end()
    return alone(norm)


def build_scan(record: Record) -> Subject:
    """`parallel_stabilized_simple`: every form of the op; the first that differs is shown."""
    arguments = Arguments(record)
    arguments.only('stabilize_rowwise', True)
    eps = arguments.take('eps')
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        q, k, v, *gates = inputs
        gates = [gate.squeeze(-1) for gate in gates]  # (B, heads, L)
        forms = ('parallel', 'chunked', 'reference')
        found = [mlstm(q, k, v, *gates, eps=eps, form=form) for form in forms]
        off = [h for h in found if (h - found[0]).abs().max() > 1e-9]
        return {'out': off[0] if off else found[0]}

    return Subject(run)


def build_loss(record: Record) -> Subject:
    """`DC_and_CE_loss`: each part, at one resolution and under deep supervision."""
    arguments = Arguments(record)
    arguments.only('batch_dice', {'batch': True, 'sample': False})
    arguments.only('smooth', 1e-5)
    arguments.only('do_bg', False)
    arguments.only('ddp', False)
    arguments.only('weight_ce', 1)
    arguments.only('weight_dice', 1)
    arguments.only('ignore_label', None)
    arguments.ignore('dice_class')
    weights = arguments.take('deep_supervision_weights')
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        maps, label = inputs[:3], inputs[3].squeeze(1)
        found = {'ce': NnUNetLoss(dice_weight=0.0)(maps[0], label)}
        for name, whole in (('batch', True), ('sample', False)):
            loss = NnUNetLoss(batch_dice=whole)
            dice = NnUNetLoss(batch_dice=whole, pixel_weight=0.0)
            found[f'dice_{name}'] = dice(maps[0], label)
            found[f'dc_ce_{name}'] = loss(maps[0], label)
            found[f'deep_supervision_{name}'] = supervised(loss, maps, label, weights)
        return found

    return Subject(run)


def build_scores(record: Record) -> Subject:
    """Dice and surface Dice of a volume and of a picture, F1 of instances."""
    arguments = Arguments(record)
    spacings: Mapping[str, list] = arguments.take('spacing_mm')
    tolerances = arguments.take('tolerance_mm')
    arguments.only('spacing_mm_2d', [1, 1, 1])
    pixels = arguments.take('tolerance_mm_2d')
    threshold = arguments.take('cell_iou_threshold')
    arguments.only('cell_remove_boundary', False)
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        there, ours, cells, found_cells = (x.numpy() for x in inputs)
        found = {
            f'nsd_{name}_tol{t}': area_surface_dice(ours > 0, there > 0, t, spacing)
            for name, spacing in spacings.items()
            for t in tolerances
        }
        found['dsc_3d'] = Counts.of(ours > 0, there > 0).dice
        found[f'nsd_2d_tol{pixels}'] = area_surface_dice(found_cells > 0, cells > 0, pixels)
        counts = match_instances(found_cells, cells, threshold)
        found['cell_tp_fp_fn'] = [counts.tp, counts.fp, counts.fn]
        found['cell_f1'] = counts.f1
        found['cell_dice'] = Counts.of(found_cells > 0, cells > 0).dice
        return {name: torch.as_tensor(value) for name, value in found.items()}

    return Subject(run)


TARGETS = {
    'UXlstmBot': build_network,
    'UXlstmEnc': build_network,
    'BasicResBlock': build_residual_block,
    'BasicBlockD': build_residual_block,
    'UpsampleLayer': build_upsample,
    'ViLLayer_wrapper': build_wrapper,
    'ViLBlock': build_block,
    'ViLLayer': build_layer,
    'MatrixLSTMCell': build_cell,
    'LinearHeadwiseExpand': build_linear,
    'MultiHeadLayerNorm': build_norm,
    'parallel_stabilized_simple': build_scan,
    'DC_and_CE_loss': build_loss,
    'segmentation_metrics': build_scores,
}
