"""LightM-UNet's golden records: the network in 2-D and 3-D, its blocks and layers."""

from torch import Tensor, nn

from ..backbones.lightm_unet import Block, LightMEncoder, MambaDownsample, MambaLayer
from ..medical.lightm_unet import LightMDecoder, UpBlock
from ..mixers import CausalMixer
from ..weights import JointKeys
from .record import Record
from .staged import check_rank
from .subject import Arguments, Outputs, Subject, Tap, observe

KEYS = JointKeys(
    (('backbone.', LightMEncoder.AUTHOR_KEYS), ('decoder.', LightMDecoder.AUTHOR_KEYS))
)


def take_norms(arguments: Arguments) -> None:
    """The one norm and activation of these networks."""
    arguments.only('norm', ['GROUP', {'num_groups': 8}])
    arguments.only('act', ['RELU', {'inplace': True}])


def build_network(record: Record) -> Subject:
    """`LightMUNet`: stem, stages of the encoder, stages of the decoder, logits."""
    arguments = Arguments(record)
    take_norms(arguments)
    arguments.only('norm_name', '')
    arguments.only('num_groups', 8)
    arguments.only('use_conv_final', True)
    arguments.only('upsample_mode', 'nontrainable')
    arguments.only('dropout_prob', None)
    width, depths = arguments.take('init_filters'), tuple(arguments.take('blocks_down'))
    axes = arguments.take('spatial_dims')
    encoder = LightMEncoder(
        {'dims': tuple(width * 2**i for i in range(len(depths))), 'depths': depths},
        spatial_dims=axes,
        in_channels=arguments.take('in_channels'),
    )
    decoder = LightMDecoder(
        encoder.out_channels,
        arguments.take('out_channels'),
        spatial_dims=axes,
        depths=arguments.take('blocks_up'),
    )
    arguments.end()
    module = nn.ModuleDict({'backbone': encoder, 'decoder': decoder})
    stem = {'stem': Tap(encoder.stem)}
    ups = {f'dec{i}': Tap(stage) for i, stage in enumerate(decoder.stages)}

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        features, first = observe(encoder, inputs, stem)
        (out,), seen = observe(decoder, (features,), ups)
        levels = {f'enc{i}': x for i, x in enumerate(features)}
        return {**first, **levels, **seen, 'out': out}

    return Subject(run, module, KEYS)


def alone(part: nn.Module) -> Subject:
    """A part of the network, in the layout of the record."""
    return Subject(lambda inputs: {'out': part(*inputs)}, part, KEYS)


def build_mixer(record: Record) -> Subject:
    """`Mamba` over (B, L, C)."""
    arguments = Arguments(record)
    width = arguments.take('d_model')
    check_rank(arguments, 'dt_rank', width)
    arguments.only('d_conv', 4)
    arguments.only('conv_bias', True)
    arguments.only('bias', False)
    mixer = CausalMixer(width, ratio=arguments.take('expand'), state=arguments.take('d_state'))
    arguments.end()
    return alone(mixer)


def build_layer(record: Record) -> Subject:
    """`MambaLayer`, of either rank."""
    arguments = Arguments(record)
    arguments.only('d_conv', 4)
    arguments.only('expand', 2)
    widths = arguments.take('input_dim'), arguments.take('output_dim')
    layer = MambaLayer(*widths, arguments.take('d_state'))
    arguments.end()
    return alone(layer)


def build_downsample(record: Record) -> Subject:
    """`get_mamba_layer` of stride 2: the layer, then pooling."""
    arguments = Arguments(record)
    arguments.only('stride', 2)
    names = 'spatial_dims', 'in_channels', 'out_channels'
    down = MambaDownsample(*(arguments.take(name) for name in names))
    arguments.end()
    return alone(down)


def build_block(record: Record) -> Subject:
    """`ResMambaBlock`."""
    arguments = Arguments(record)
    take_norms(arguments)
    arguments.only('kernel_size', 3)
    arguments.ignore('spatial_dims')
    block = Block(arguments.take('in_channels'))
    arguments.end()
    return alone(block)


def build_up_block(record: Record) -> Subject:
    """`ResUpBlock`."""
    arguments = Arguments(record)
    take_norms(arguments)
    arguments.only('kernel_size', 3)
    block = UpBlock(arguments.take('spatial_dims'), arguments.take('in_channels'))
    arguments.end()
    return alone(block)


TARGETS = {
    'LightMUNet': build_network,
    'Mamba': build_mixer,
    'MambaLayer': build_layer,
    'get_mamba_layer': build_downsample,
    'ResMambaBlock': build_block,
    'ResUpBlock': build_up_block,
}
