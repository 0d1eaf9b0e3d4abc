"""The weight files that the networks' authors publish, as typed records.

Addresses and figures are the authors' own; nothing here was measured by us.
"""

import difflib
from dataclasses import dataclass, replace

from .fetch import cached_path
from .folders import FOLDERS, Metric


@dataclass(frozen=True)
class WeightFile:
    """What is known of one published file.

    backbone, arch: what `init_cfg` loads it into. network: what the whole file holds.
    input_size: (height, width) of the training crop; of the longest test size in detection.
    parameters: millions, of the whole network, as published.
    first_conv, classifier: names of those layers in the file; the vanilla VMamba files of January
        2024 are taken to bear the names their code had then (the loader reads both).
    sha256, size: checked after the download where known.
    """

    name: str
    family: str
    backbone: str
    arch: str
    task: str
    network: str
    dataset: str
    url: str
    licence: str
    input_size: tuple[int, int]
    parameters: float
    metrics: tuple[Metric, ...]
    first_conv: str
    classifier: str
    num_classes: int
    schedule: str = ''
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    sha256: str = ''
    size: int | None = None

    @property
    def metric(self) -> str:
        """The figures in one line."""
        return ', '.join(f'{metric.name} {metric.value:g}' for metric in self.metrics)

    @property
    def cached(self) -> str:
        """Where the file lies once it is fetched, and where to put it by hand."""
        return str(cached_path(self.url))


_RELEASES = 'https://github.com/MzeroMiko/VMamba/releases/download/%23'

# arch, file, top-1, millions of parameters
_CLASSIFIERS = (
    ('vanilla_tiny', 'v0cls/vssmtiny_dp01_ckpt_epoch_292', 82.2, 22.9),
    ('vanilla_small', 'v0cls/vssmsmall_dp03_ckpt_epoch_238', 83.5, 44.4),
    ('vanilla_base', 'v0cls/vssmbase_dp06_ckpt_epoch_241', 83.7, 76.3),
    ('tiny_s2l5', 'v2cls/vssm_tiny_0230_ckpt_epoch_262', 82.5, 30.7),
    ('small_s2l15', 'v2cls/vssm_small_0229_ckpt_epoch_222', 83.6, 50.1),
    ('base_s2l15', 'v2cls/vssm_base_0229_ckpt_epoch_237', 83.9, 88.6),
    ('tiny_s1l8', 'v2cls/vssm1_tiny_0230s_ckpt_epoch_264', 82.6, 30.2),
    ('small_s1l20', 'v2cls/vssm1_small_0229s_ckpt_epoch_240', 83.3, 49.0),
    ('base_s1l20', 'v2cls/vssm1_base_0229s_ckpt_epoch_225', 83.8, 86.6),
)

# arch, file, mIoU single-scale, mIoU multi-scale, millions of parameters
_SEGMENTORS = (
    ('vanilla_tiny', 'v0seg/vssmtiny', '160000', 47.3, 48.3, 55),
    ('vanilla_small', 'v0seg/vssmsmall', '160000', 49.5, 50.5, 76),
    ('vanilla_base', 'v0seg/vssmbase', '128000', 50.0, 51.3, 110),
    ('tiny_s2l5', 'v2seg/tiny', '160000', 48.3, 48.6, 62),
    ('small_s2l15', 'v2seg/small', '144000', 50.6, 51.2, 82),
    ('base_s2l15', 'v2seg/base', '160000', 51.0, 51.6, 122),
    ('tiny_s1l8', 'v2seg/tiny_s', '160000', 47.9, 48.8, 62),
)

# arch, schedule, file, box AP, mask AP, millions of parameters
_DETECTORS = (
    ('vanilla_tiny', '1x', 'v0det/vssmtiny_mask_rcnn_swin_fpn_coco_epoch_12', 46.5, 42.1, 42),
    ('vanilla_small', '1x', 'v0det/vssmsmall_mask_rcnn_swin_fpn_coco_epoch_12', 48.2, 43.0, 64),
    ('vanilla_base', '1x', 'v0det/vssmbase_mask_rcnn_swin_fpn_coco_epoch_12', 48.6, 43.3, 96),
    ('vanilla_tiny', '3x', 'v0det/vssmtiny_mask_rcnn_swin_fpn_coco_ms_3x_epoch_34', 48.5, 43.2, 42),
    (
        'vanilla_small',
        '3x',
        'v0det/vssmsmall_mask_rcnn_swin_fpn_coco_ms_3x_epoch_34',
        49.7,
        44.0,
        64,
    ),
    ('tiny_s2l5', '1x', 'v2det/mask_rcnn_vssm_fpn_coco_tiny_epoch_12', 47.4, 42.7, 50),
    ('tiny_s1l8', '1x', 'v2det/mask_rcnn_vssm_fpn_coco_tiny_s_epoch_12', 47.3, 42.7, 50),
    ('small_s2l15', '1x', 'v2det/mask_rcnn_vssm_fpn_coco_small_epoch_11', 48.7, 43.7, 70),
    ('base_s2l15', '1x', 'v2det/mask_rcnn_vssm_fpn_coco_base_epoch_11', 49.2, 44.1, 108),
    ('base_s2l15', '1x-bs8', 'v2det/mask_rcnn_vssm_fpn_coco_base_epoch_12_bs8', 49.2, 43.9, 108),
    ('tiny_s2l5', '3x', 'v2det/mask_rcnn_vssm_fpn_coco_tiny_ms_3x_epoch_36', 48.9, 43.7, 50),
    ('tiny_s1l8', '3x', 'v2det/mask_rcnn_vssm_fpn_coco_tiny_ms_3x_s_epoch_31', 48.8, 43.7, 50),
    ('small_s2l15', '3x', 'v2det/mask_rcnn_vssm_fpn_coco_small_ms_3x_epoch_32', 49.9, 44.2, 70),
)


def _vmamba(
    arch: str,
    file: str,
    *,
    task: str,
    network: str,
    dataset: str,
    label: str,
    input_size: tuple[int, int],
    parameters: float,
    metrics: tuple[Metric, ...],
    classifier: str,
    num_classes: int,
    prefix: str = '',
    schedule: str = '',
) -> WeightFile:
    return WeightFile(
        name=f'vmamba-{arch}_{label}',
        family='vmamba',
        backbone='mamba_dense.VMamba',
        arch=arch,
        task=task,
        network=network,
        dataset=dataset,
        url=f'{_RELEASES}{file}.pth',
        licence='MIT',
        input_size=input_size,
        parameters=parameters,
        metrics=metrics,
        first_conv=f'{prefix}patch_embed.{"proj" if arch.startswith("vanilla") else "0"}',
        classifier=classifier,
        num_classes=num_classes,
        schedule=schedule,
    )


def _vmamba_classifier(arch: str, file: str, top1: float, parameters: float) -> WeightFile:
    return _vmamba(
        arch,
        file,
        task='classification',
        network='classifier',
        dataset='ImageNet-1K',
        label='in1k-224x224',
        input_size=(224, 224),
        parameters=parameters,
        metrics=(Metric('top-1', top1),),
        classifier='head' if arch.startswith('vanilla') else 'classifier.head',
        num_classes=1000,
        schedule='300 epochs',
    )


def _vmamba_segmentor(
    arch: str, file: str, iteration: str, single: float, multi: float, parameters: float
) -> WeightFile:
    # the first generation names the backbone before the recipe, the second after it
    recipe = 'upernet_4xb4-160k_ade20k-512x512'
    folder, _, variant = file.partition('/')
    older = folder == 'v0seg'
    stem = f'{variant}_{recipe}' if older else f'upernet_vssm_{recipe[8:]}_{variant}'
    return _vmamba(
        arch,
        f'{folder}/{stem}_iter_{iteration}',
        task='segmentation',
        network='UPerNet',
        dataset='ADE20K',
        label='upernet_ade20k-512x512',
        input_size=(512, 512),
        parameters=parameters,
        metrics=(Metric('mIoU', single), Metric('mIoU multi-scale', multi)),
        classifier='decode_head.conv_seg',
        num_classes=150,
        prefix='backbone.',
        schedule='160k iterations',
    )


def _vmamba_detector(
    arch: str, schedule: str, file: str, box: float, mask: float, parameters: float
) -> WeightFile:
    return _vmamba(
        arch,
        file,
        task='detection',
        network='Mask R-CNN',
        dataset='COCO 2017',
        label=f'mask-rcnn-{schedule}_coco',
        input_size=(800, 1333),
        parameters=parameters,
        metrics=(Metric('box AP', box), Metric('mask AP', mask)),
        classifier='roi_head.bbox_head.fc_cls',
        num_classes=80,
        prefix='backbone.',
        schedule=schedule,
    )


# arch, top-1, millions of parameters; the address of kobe is the others' with its name
_MAMBAOUT = (
    ('femto', 78.9, 7.3),
    ('kobe', 80.0, 9.1),
    ('tiny', 82.7, 26.5),
    ('small', 84.1, 48.5),
    ('base', 84.2, 84.8),
)


def _mambaout(arch: str, top1: float, parameters: float) -> WeightFile:
    return WeightFile(
        name=f'mambaout-{arch}_in1k-224x224',
        family='mambaout',
        backbone='mamba_dense.MambaOut',
        arch=arch,
        task='classification',
        network='classifier',
        dataset='ImageNet-1K',
        url=f'https://github.com/yuweihao/MambaOut/releases/download/model/mambaout_{arch}.pth',
        licence='Apache-2.0',
        input_size=(224, 224),
        parameters=parameters,
        metrics=(Metric('top-1', top1),),
        first_conv='downsample_layers.0.conv1',
        classifier='head.fc2',
        num_classes=1000,
        schedule='300 epochs',
    )


# arch, training, file, top-1, millions of parameters
_VSSD_CLASSIFIERS = (
    ('micro', '', 'vssd_micro_best', 82.5, 13.5),
    ('tiny', '', 'vssd_tiny_best_ema', 83.6, 24.3),
    ('small', '', 'vssd_small_best_ema', 84.1, 40.1),
    ('base', '', 'vssd_base_best_ema', 84.7, 88.8),
    ('tiny', '-mesa', 'vssd_tiny_e300_with_mesa', 84.1, 24.3),
    ('small', '-mesa', 'vssd_small_e300_with_mesa', 84.5, 40.1),
    ('base', '-mesa', 'vssd_base_e300_with_mesa', 85.4, 88.8),
)

# arch, file, mIoU single-scale, mIoU multi-scale, millions of parameters
_VSSD_SEGMENTORS = (
    ('micro', 'upernet_vssd_final_4xb4-160k_ade20k-512x512_micro', 45.6, 46.0, 42),
    ('tiny', 'upernet_vssd_4xb4-160k_ade20k-512x512_tiny', 47.9, 48.7, 53),
)

# arch, schedule, file, box AP, mask AP, millions of parameters
_VSSD_DETECTORS = (
    ('micro', '1x', 'mask_rcnn_vssd_fpn_coco_micro', 45.4, 41.3, 33),
    ('tiny', '1x', 'mask_rcnn_vssd_fpn_coco_tiny', 46.9, 42.6, 44),
    ('small', '1x', 'mask_rcnn_vssd_fpn_coco_small', 48.4, 43.5, 59),
    ('micro', '3x', 'mask_rcnn_vssd_fpn_coco_micro_3x', 47.7, 42.8, 33),
    ('tiny', '3x', 'mask_rcnn_vssd_fpn_coco_tiny_3x', 48.8, 43.6, 44),
)


def _vssd(record: WeightFile, file: str, training: str = '') -> WeightFile:
    """VMamba's record of such a network as one of VSSD's, whose recipes are the same."""
    prefix = 'backbone.' if record.task != 'classification' else ''
    label = record.name.removeprefix(f'vmamba-{record.arch}')
    return replace(
        record,
        name=f'vssd-{record.arch}{training}{label}',
        family='vssd',
        backbone='mamba_dense.VSSD',
        url=f'https://huggingface.co/YuhengSSS/VSSD/resolve/main/{file}.pth',
        licence='none stated',
        first_conv=f'{prefix}patch_embed.conv1.conv',
        classifier=record.classifier.removeprefix('classifier.'),
    )


_FILES = (
    *(_mambaout(*row) for row in _MAMBAOUT),
    *(_vmamba_classifier(*row) for row in _CLASSIFIERS),
    *(_vmamba_segmentor(*row) for row in _SEGMENTORS),
    *(_vmamba_detector(*row) for row in _DETECTORS),
    *(
        _vssd(_vmamba_classifier(arch, file, *figures), file, training)
        for arch, training, file, *figures in _VSSD_CLASSIFIERS
    ),
    *(
        _vssd(_vmamba_segmentor(arch, file, '', *figures), file)
        for arch, file, *figures in _VSSD_SEGMENTORS
    ),
    *(
        _vssd(_vmamba_detector(arch, schedule, file, *figures), file)
        for arch, schedule, file, *figures in _VSSD_DETECTORS
    ),
)
WEIGHTS = {file.name: file for file in _FILES}


def list_weights(
    *, family: str | None = None, arch: str | None = None, task: str | None = None
) -> tuple[WeightFile, ...]:
    """The published files, narrowed by what is given."""
    wanted = {'family': family, 'arch': arch, 'task': task}
    chosen = {key: value for key, value in wanted.items() if value is not None}
    return tuple(
        file
        for file in WEIGHTS.values()
        if all(getattr(file, key) == value for key, value in chosen.items())
    )


def get(name: str) -> WeightFile:
    """The published file of this name.

    Raises:
        ValueError: no such name, of which the nearest are listed, or one of a folder whose files
            have to be fetched by hand.
    """
    if name in WEIGHTS:
        return WEIGHTS[name]
    if name in FOLDERS:
        raise ValueError(
            f'{name!r} lies in {FOLDERS[name].url}, whose file names are not known here; '
            'fetch the file by hand and give its path'
        )
    near = difflib.get_close_matches(name, WEIGHTS, n=5, cutoff=0.4)
    near = near or [known for known in WEIGHTS if name.lower() in known] or list(WEIGHTS)[:5]
    raise ValueError(
        f'{name!r} is no published weight file; nearest: {", ".join(near)} '
        f'(list_weights() shows all {len(WEIGHTS)})'
    )
