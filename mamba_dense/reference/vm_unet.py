"""VM-UNet's golden records, and what MHS-UNet's share with them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..backbones.vmamba import Arch, Block, VMamba
from ..bricks import PatchExpand, PatchMerging
from ..medical.losses import BceDiceLoss, CeDiceLoss
from ..medical.scores import Counts, case_scores
from ..medical.unet import AUTHOR_KEYS, VMUNet
from ..mixers import SS2D
from .record import Record
from .subject import Arguments, Outputs, Subject, Tap, observe


def take_norm(arguments: Arguments) -> None:
    """The one norm of these networks."""
    arguments.only('norm_layer', 'layernorm')
    arguments.only('norm_eps', 1e-5)


def take_block(arguments: Arguments) -> None:
    """What blocks and mixers say of themselves and these networks never vary."""
    arguments.only('dt_rank', 'auto')
    arguments.only('d_conv', 3)
    arguments.only('conv_bias', True)
    arguments.only('bias', False)
    arguments.ignore('dropout', 'attn_drop_rate', 'drop_path')


def network_subject(record: Record, family: str, head: str, fields: Mapping[str, Any]) -> Subject:
    """`VMUNet`: what each stage begins with, the bottom, each stage up, logits and the result.

    Args:
        record: its arguments beside those of the mixer.
        family, head: names of our backbone and decoder.
        fields: of the `Arch` of both, but for dims and depths.
    """
    arguments = Arguments(record)
    dims, depths = tuple(arguments.take('dims')), tuple(arguments.take('depths'))
    arguments.only('dims_decoder', list(dims[::-1]))
    arguments.only('patch_size', 4)
    arguments.only('patch_norm', True)
    arguments.only('d_state', 16)
    arguments.ignore('drop_path_rate', 'drop_rate', 'attn_drop_rate', 'para_dict', 'route_dict')
    take_norm(arguments)
    classes, up = arguments.take('num_classes'), tuple(arguments.take('depths_decoder'))
    channels = arguments.take('input_channels')
    arguments.end()
    one = classes == 1
    arch = {**fields, 'dims': dims, 'depths': depths}
    model = VMUNet(
        {
            'type': f'mamba_dense.{family}',
            'arch': arch,
            'in_channels': channels,
            'output_norm': False,
        },
        {
            'type': f'mamba_dense.{head}',
            'in_channels': dims,
            'arch': arch,
            'depths': up,
            'num_classes': 2 if one else classes,
            'out_channels': classes,
            'threshold': 0.5 if one else None,
            'loss_decode': {'type': f'mamba_dense.{"Bce" if one else "Ce"}DiceLoss'},
        },
    )
    decoder = model.decode_head
    taps = {f'up{i}': Tap(stage.blocks[-1]) for i, stage in enumerate(decoder.stages)}
    taps['final_up'] = Tap(decoder.final_up)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        *skips, bottom = model.extract_feat(*inputs)
        logits, seen = observe(decoder, ([*skips, bottom],), taps)
        named = {f'skip{i}': skip for i, skip in enumerate(skips)}
        out = logits.sigmoid() if one else logits
        return {**named, **seen, 'bottom': bottom, 'logits': logits, 'out': out}

    return Subject(run, model, model.AUTHOR_KEYS)


def build_network(record: Record) -> Subject:
    """`VMUNet` of VM-UNet."""
    vanilla = VMamba.ARCHS['vanilla_tiny']
    fields = {
        name: value for name, value in vars(vanilla).items() if name not in ('dims', 'depths')
    }
    return network_subject(record, 'VMamba', 'VMUNetHead', fields)


def build_block(record: Record) -> Subject:
    """`VSSBlock`, channel-last."""
    arguments = Arguments(record)
    take_norm(arguments)
    take_block(arguments)
    arch = Arch(
        dims=(),
        depths=(),
        ratio=float(arguments.take('expand')),
        state=arguments.take('d_state'),
        mlp_ratio=0.0,
        conv_bias=True,
        gated=True,
    )
    block = Block(arguments.take('hidden_dim'), arch)
    arguments.end()
    return Subject(lambda inputs: {'out': block(*inputs)}, block, AUTHOR_KEYS)


def build_mixer(record: Record) -> Subject:
    """`SS2D`, channel-last."""
    arguments = Arguments(record)
    take_block(arguments)
    mixer = SS2D(
        arguments.take('d_model'),
        ratio=arguments.take('expand'),
        state=arguments.take('d_state'),
        conv_bias=True,
        gated=True,
    )
    arguments.end()
    return Subject(lambda inputs: {'out': mixer(*inputs)}, mixer, AUTHOR_KEYS)


def build_merging(record: Record) -> Subject:
    """`PatchMerging2D`, which crops an odd grid."""
    arguments = Arguments(record)
    take_norm(arguments)
    dim = arguments.take('dim')
    arguments.end()
    merging = PatchMerging(dim, 2 * dim, crop=True)
    return Subject(lambda inputs: {'out': merging(*inputs)}, merging, AUTHOR_KEYS)


def build_expansion(record: Record) -> Subject:
    """`PatchExpand2D`, named by its output width, and `Final_PatchExpand2D`, by its input width."""
    arguments = Arguments(record)
    take_norm(arguments)
    dim, factor = arguments.take('dim'), arguments.take('dim_scale')
    arguments.end()
    final = record.target == 'Final_PatchExpand2D'
    widths = (dim, dim // factor) if final else (factor * dim, dim)
    expand = PatchExpand(*widths, factor=factor)
    return Subject(lambda inputs: {'out': expand(*inputs)}, expand, AUTHOR_KEYS)


def build_scores(record: Record) -> Subject:
    """Losses on given maps, pooled scores, Dice and HD95 of each class of one volume."""
    arguments = Arguments(record)
    arguments.only('BceDiceLoss', {'wb': 1, 'wd': 1, 'smooth': 1})
    arguments.only('CeDiceLoss', {'num_classes': 9, 'loss_weight': [1, 1], 'smooth': 1e-5})
    arguments.only('pixel_metrics', {'threshold': 0.5})
    classes = arguments.take('case_metrics')['classes']
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        probability, mask, logits, label = inputs
        binary = (torch.logit(probability), mask.squeeze(1))
        counts = Counts.of(probability.numpy() >= 0.5, mask.numpy() >= 0.5)
        found, truth = logits.argmax(1).numpy(), label.numpy()
        cases = [case_scores(found == i, truth == i) for i in classes]
        values = {
            'bce': BceDiceLoss(dice_weight=0.0)(*binary),
            'dice': BceDiceLoss(pixel_weight=0.0)(*binary),
            'bce_dice_wb1_wd1': BceDiceLoss()(*binary),
            'ce': CeDiceLoss(dice_weight=0.0)(logits, label),
            'ndice_softmax': CeDiceLoss(pixel_weight=0.0)(logits, label),
            'ce_dice_w1_1': CeDiceLoss()(logits, label),
            'metric_miou': counts.iou,
            'metric_f1_or_dsc': counts.dice,
            'metric_accuracy': counts.accuracy,
            'metric_sensitivity': counts.sensitivity,
            'metric_specificity': counts.specificity,
            'metric_case_dice_hd95': np.array(cases),
        }
        return {name: torch.as_tensor(value) for name, value in values.items()}

    return Subject(run)


TARGETS = {
    'VMUNet': build_network,
    'VSSBlock': build_block,
    'SS2D': build_mixer,
    'PatchMerging2D': build_merging,
    'PatchExpand2D': build_expansion,
    'Final_PatchExpand2D': build_expansion,
    'losses_and_metrics': build_scores,
}
