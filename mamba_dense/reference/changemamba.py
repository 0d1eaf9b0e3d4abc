"""ChangeMamba's golden records: the authors' networks, decoders, losses and scores, and ours."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..backbones.vmamba import Arch
from ..change.decoder import ChangeDecoder, SemanticDecoder
from ..change.detector import ChangeDetector, MambaBCD, MambaBDA, MambaSCD
from ..change.losses import BinaryChangeLoss, ChangeLoss, DamageLoss, SemanticChangeLoss
from ..change.metrics import (
    BinaryChangeMetric,
    DamageMetric,
    SemanticChangeMetric,
    binary_scores,
    damage_scores,
    semantic_scores,
)
from . import vmamba
from .record import Record
from .subject import Arguments, Outputs, Subject, Tap, channel_first, observe

WIDTH = 128  # of every published decoder
BLOCK = ('ratio', 'state', 'mlp_ratio', 'conv_bias', 'gated', 'routes', 'cascade')


def _decoder_fields(arch: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an encoder's `Arch` that the blocks of the decoders share."""
    given = asdict(Arch(dims=(), depths=()))
    return {name: arch.get(name, given[name]) for name in BLOCK}


def _decoder_taps(decoder: ChangeDecoder) -> dict[str, Tap]:
    """`st_block_41` to `st_block_43`, and `p4` to `p1`."""
    *finer, deepest = decoder.levels
    taps = {
        f'st_block_4{k}': Tap(relation.block)
        for k, relation in enumerate(deepest.relations.values(), start=1)
    }
    taps['p4'] = Tap(deepest.fuse)
    return taps | {f'p{n}': Tap(level.smooth) for n, level in enumerate(finer, start=1)}


def _semantic_taps(decoder: SemanticDecoder, name: str) -> dict[str, Tap]:
    taps = {f'{name}_p{n}': Tap(level.block) for n, level in enumerate(decoder.levels, start=1)}
    return taps | {f'{name}_p1': Tap(decoder.smooth)}


def _run(
    module: nn.Module, inputs: tuple[Any, ...], taps: Mapping[str, Tap]
) -> tuple[Any, dict[str, Tensor]]:
    result, seen = observe(module, inputs, taps)
    return result, {name: channel_first(x) for name, x in seen.items()}


def _encoder_taps(model: ChangeDetector) -> dict[str, Tap]:
    """Both dates pass the encoder in one batch; the record has the first one's levels."""
    taps = {}
    for i, stage in enumerate(model.backbone.stages):
        taps[f'pre_stage{i}_raw'] = Tap(stage.blocks[-1])
        taps[f'pre_stage{i}_normed'] = Tap(model.backbone.out_norms[str(i)])
    return taps


def _network(
    record: Record, kind: type[ChangeDetector], classes: Mapping[str, int]
) -> tuple[ChangeDetector, dict[str, Tap]]:
    arguments = Arguments(record)
    for name, number in classes.items():
        arguments.only(name, number)
    arguments.left.setdefault('patchembed_version', 'v2')
    arguments.left.setdefault('downsample_version', 'v3')
    arguments.left.setdefault('norm_layer', 'ln')
    arguments.ignore('num_classes', 'ssm_rank_ratio', 'pretrained')
    channels = arguments.take('in_chans')
    arch, _ = vmamba.arch_fields(arguments)
    arguments.end()
    backbone = {'type': 'mamba_dense.VMamba', 'arch': arch, 'in_channels': channels}
    model = kind(backbone, {'channels': WIDTH, 'block': _decoder_fields(arch)})
    taps = _encoder_taps(model) | _decoder_taps(model.decode_head.decoder)
    return model, taps


def _network_subject(
    record: Record,
    kind: type[ChangeDetector],
    decoders: Mapping[str, str],
    logits: Mapping[str, str],
    classes: Mapping[str, int],
) -> Subject:
    """A network with taps on its semantic decoders, and its logits by the authors' names."""
    model, taps = _network(record, kind, classes)
    for name, part in decoders.items():
        taps |= _semantic_taps(getattr(model.decode_head, part), name)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        result, seen = _run(model, (torch.cat(inputs, dim=1),), taps)
        B = inputs[0].shape[0]
        levels = {n: x[:B] if n.startswith('pre_stage') else x for n, x in seen.items()}
        return levels | {theirs: result[ours] for theirs, ours in logits.items()}

    return Subject(run, model, model.AUTHOR_KEYS)


def build_bcd(record: Record) -> Subject:
    """`STMambaBCD`."""
    return _network_subject(record, MambaBCD, {}, {'change_logits': 'change'}, {})


def build_scd(record: Record) -> Subject:
    """`STMambaSCD`."""
    names = {'change_logits': 'change', 't1_logits': 'pre', 't2_logits': 'post'}
    decoders = {'t1': 'pre_decoder', 't2': 'post_decoder'}
    classes = {'output_cd': 2, 'output_clf': 7}
    return _network_subject(record, MambaSCD, decoders, names, classes)


def build_bda(record: Record) -> Subject:
    """`STMambaBDA`."""
    names = {'building_logits': 'building', 'damage_logits': 'damage'}
    classes = {'output_building': 2, 'output_damage': 5}
    return _network_subject(record, MambaBDA, {'building': 'building_decoder'}, names, classes)


def _decoder_options(record: Record) -> tuple[tuple[int, ...], dict[str, Any]]:
    arguments = Arguments(record)
    widths = tuple(arguments.take('encoder_dims'))
    arguments.only('norm_layer', 'ln', 'layernorm')
    arguments.only('channel_first', False)
    arguments.only('ssm_dt_rank', 'auto', WIDTH // 16)
    block = _decoder_fields(vmamba.block_fields(arguments))
    arguments.end()
    return widths, block


def build_change_decoder(record: Record) -> Subject:
    """`ChangeDecoder`: four features of the first date, then four of the second."""
    widths, block = _decoder_options(record)
    decoder = ChangeDecoder(widths, WIDTH, block=block)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        half = len(inputs) // 2
        out, seen = _run(decoder, (inputs[:half], inputs[half:]), _decoder_taps(decoder))
        return {**seen, 'out': out}

    return Subject(run, decoder, MambaBCD.AUTHOR_KEYS)


def build_semantic_decoder(record: Record) -> Subject:
    """`SemanticDecoder`: four features of one date."""
    widths, block = _decoder_options(record)
    decoder = SemanticDecoder(widths, WIDTH, block=block)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        out, seen = _run(decoder, (inputs,), _semantic_taps(decoder, 's'))
        return {**seen, 'out': out}

    return Subject(run, decoder, MambaSCD.AUTHOR_KEYS)


def _part(builder):
    """A part of the encoder, with the map of the whole network."""

    def build(record: Record) -> Subject:
        subject = builder(record)
        return Subject(subject.run, subject.module, MambaBCD.AUTHOR_KEYS)

    return build


def _loss_subject(loss: ChangeLoss, outputs: tuple[str, ...], names: Mapping[str, str]) -> Subject:
    """A loss over logits and then labels of `outputs`; `names`: the record's part -> ours."""

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        logits = dict(zip(outputs, inputs[: len(outputs)], strict=True))
        labels = dict(zip(outputs, inputs[len(outputs) :], strict=True))
        parts = loss.parts(logits, labels)
        total = sum(loss(logits, labels).values())
        return {theirs: parts[ours] for theirs, ours in names.items()} | {'total': total}

    return Subject(run)


def build_loss_bcd(record: Record) -> Subject:
    """`loss_bcd`: logits, label."""
    arguments = Arguments(record)
    arguments.only('ignore_index', 255)
    loss = BinaryChangeLoss({'lovasz': arguments.take('lovasz_weight')})
    arguments.end()
    return _loss_subject(loss, ('change',), {'ce': 'ce', 'lovasz': 'lovasz'})


def build_loss_scd(record: Record) -> Subject:
    """`loss_scd`: logits of change, first and second date, then their labels."""
    arguments = Arguments(record)
    arguments.only('ignore_index', 255)
    arguments.only('semantic_background_label', 0)
    cover, lovasz = arguments.take('semantic_weight'), arguments.take('lovasz_weight')
    lovasz_cover = lovasz * arguments.take('lovasz_semantic_weight')
    loss = SemanticChangeLoss(
        {
            'lovasz_change': lovasz,
            'ce_pre': cover,
            'ce_post': cover,
            'similarity': cover * arguments.take('similarity_weight'),
            'lovasz_pre': lovasz_cover,
            'lovasz_post': lovasz_cover,
        }
    )
    arguments.end()
    ours = {'cd': 'change', 't1': 'pre', 't2': 'post'}
    names = {f'{kind}_{key}': f'{kind}_{ours[key]}' for kind in ('ce', 'lovasz') for key in ours}
    names['similarity'] = 'similarity'
    return _loss_subject(loss, ('change', 'pre', 'post'), names)


def build_loss_bda(record: Record) -> Subject:
    """`loss_bda`: logits of location and damage, then their labels."""
    arguments = Arguments(record)
    arguments.only('ignore_index', 255)
    arguments.only('damage_background_label', 0)
    loss = DamageLoss(
        {
            'lovasz_building': arguments.take('lovasz_loc_weight'),
            'lovasz_damage': arguments.take('lovasz_clf_weight'),
        }
    )
    arguments.end()
    ours = {'loc': 'building', 'clf': 'damage'}
    names = {f'{kind}_{key}': f'{kind}_{ours[key]}' for kind in ('ce', 'lovasz') for key in ours}
    return _loss_subject(loss, ('building', 'damage'), names)


def _counts(metric: Any, inputs: tuple[Tensor, ...], names: tuple[str, ...]) -> list[Any]:
    """What `metric` counts on each image of maps (B, 1, H, W), truths first or as `names` say."""
    images = zip(*[x.numpy()[:, 0] for x in inputs], strict=True)
    return [metric.count(dict(zip(names, maps, strict=True))) for maps in images]


def _tensors(scores: Mapping[str, Any]) -> Outputs:
    return {name: torch.as_tensor(np.asarray(value)) for name, value in scores.items()}


def build_metrics_bcd(record: Record) -> Subject:
    """`metrics_bcd`: truth, prediction."""
    arguments = Arguments(record)
    arguments.only('num_class', 2)
    arguments.end()

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        matrix = sum(_counts(BinaryChangeMetric(), inputs, ('gt_change', 'pred_change')))
        return _tensors({**binary_scores(matrix), 'confusion': matrix})

    return Subject(run)


def build_metrics_scd(record: Record) -> Subject:
    """`metrics_scd`: truths of change, first and second date, then the predictions."""
    arguments = Arguments(record)
    covers = arguments.take('num_semantic')
    arguments.only('num_class', covers**2 + 1)
    arguments.end()
    metric = SemanticChangeMetric(covers)
    names = tuple(f'{kind}_{name}' for kind in ('gt', 'pred') for name in metric.OUTPUTS)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        results = _counts(metric, inputs, names)
        histogram = sum(one for one, _ in results)
        return _tensors({'oa': metric.compute_metrics(results)['oa'], **semantic_scores(histogram)})

    return Subject(run)


def build_metrics_bda(record: Record) -> Subject:
    """`metrics_bda`: truths of location and damage, then the predictions."""
    arguments = Arguments(record)
    arguments.only('num_class_loc', 2)
    arguments.only('num_class_clf', 5)
    arguments.only('f1_loc_weight', 0.3)
    arguments.only('f1_clf_weight', 0.7)
    arguments.end()
    metric = DamageMetric()
    names = tuple(f'{kind}_{name}' for kind in ('gt', 'pred') for name in metric.OUTPUTS)

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        matrices = [sum(one) for one in zip(*_counts(metric, inputs, names), strict=True)]
        return _tensors({**damage_scores(*matrices), 'confusion_clf': matrices[1]})

    return Subject(run)


TARGETS = {
    'STMambaBCD': build_bcd,
    'STMambaSCD': build_scd,
    'STMambaBDA': build_bda,
    'ChangeDecoder': build_change_decoder,
    'SemanticDecoder': build_semantic_decoder,
    'VSSBlock': _part(vmamba.build_block),
    'SS2D': _part(vmamba.build_mixer),
    'loss_bcd': build_loss_bcd,
    'loss_scd': build_loss_scd,
    'loss_bda': build_loss_bda,
    'metrics_bcd': build_metrics_bcd,
    'metrics_scd': build_metrics_scd,
    'metrics_bda': build_metrics_bda,
}
