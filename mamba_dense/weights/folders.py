"""Folders of weight files that authors publish without names that are known to us."""

from dataclasses import dataclass

AUTHORS = 'authors'


@dataclass(frozen=True)
class Metric:
    """A published figure; `source` says who measured it."""

    name: str
    value: float
    source: str = AUTHORS


@dataclass(frozen=True)
class WeightFolder:
    """A published folder whose files' names are not known to us: its files are fetched by hand.

    backbone, arch: what a classifier's file of it is loaded into; of a change network, its encoder.
    metrics: of the classifier `arch`, on ImageNet-1K unless they say otherwise.
    """

    name: str
    family: str
    backbone: str
    arch: str
    url: str
    licence: str
    input_size: tuple[int, int]
    parameters: float
    metrics: tuple[Metric, ...]


# arch, folder, top-1, top-5, millions of parameters
_VIM = (
    ('tiny', 'Vim-tiny-midclstok', 76.1, 93.0, 7.148),
    ('small', 'Vim-small-midclstok', 80.5, 95.1, 25.797),
    ('base', 'Vim-base-midclstok', 81.9, 95.8, 97.598),
)
# arch, folder, top-1, millions of parameters
_EFFICIENTVMAMBA = (
    ('tiny', 'EfficientVMamba-Tiny', 76.5, 6.494),
    ('small', 'EfficientVMamba-Small', 78.7, 11.274),
    ('base', 'EfficientVMamba-Base', 81.8, 33.717),
)
_RES_VMAMBA = WeightFolder(
    name='res_vmamba-small_cnfood241-224x224',
    family='res_vmamba',
    backbone='mamba_dense.ResVMamba',
    arch='small',
    url='https://huggingface.co/ms57rd/Res-VMamba',
    licence='not noted',
    input_size=(224, 224),
    parameters=43.834,
    metrics=(Metric('top-1 on CNFOOD-241', 79.54),),
)
_FOLDERS = (
    _RES_VMAMBA,
    *(
        WeightFolder(
            name=f'efficientvmamba-{arch}_in1k-224x224',
            family='efficientvmamba',
            backbone='mamba_dense.EfficientVMamba',
            arch=arch,
            url=f'https://huggingface.co/TerryPei/{folder}',
            licence='not noted',
            input_size=(224, 224),
            parameters=parameters,
            metrics=(Metric('top-1', top1),),
        )
        for arch, folder, top1, parameters in _EFFICIENTVMAMBA
    ),
    *(
        WeightFolder(
            name=f'vim-{arch}_in1k-224x224',
            family='vim',
            backbone='mamba_dense.Vim',
            arch=arch,
            url=f'https://huggingface.co/hustvl/{folder}',
            licence='Apache-2.0',
            input_size=(224, 224),
            parameters=parameters,
            metrics=(Metric('top-1', top1), Metric('top-5', top5)),
        )
        for arch, folder, top1, top5, parameters in _VIM
    ),
)
FOLDERS = {folder.name: folder for folder in _FOLDERS}

# arch, side of the training crop, top-1 after 300 epochs and after 1000 with distillation
_MOBILEMAMBA = (
    ('t2', 192, 71.5, 76.9, 8.837),
    ('t4', 192, 76.1, 78.9, 14.176),
    ('s6', 224, 78.0, 80.7, 15.037),
    ('b1', 256, 79.9, 82.2, 17.123),
    ('b2', 384, 81.6, 83.3, 17.123),
    ('b4', 512, 82.5, 83.6, 17.123),
)
FOLDERS |= {
    folder.name: folder
    for folder in (
        WeightFolder(
            name=f'mobilemamba-{arch}_in1k-{side}x{side}',
            family='mobilemamba',
            backbone='mamba_dense.MobileMamba',
            arch=arch,
            # the read-me links to one file for each variant and training
            url='https://github.com/lewandofskee/MobileMamba',
            licence='not noted',
            input_size=(side, side),
            parameters=parameters,
            metrics=(Metric('top-1', top1), Metric('top-1 1000 epochs, distilled', distilled)),
        )
        for arch, side, top1, distilled, parameters in _MOBILEMAMBA
    )
}

_DRIVE = 'https://drive.google.com/drive/folders/'
# arch, top-1, millions of parameters, folder; of v3 only its branch is known to us
_MSVMAMBA = (
    ('nano', 77.3, 6.864, f'{_DRIVE}1J41w3ApitQhp2O3wHmJoOs4U032uqebK'),
    ('micro', 79.8, 11.879, f'{_DRIVE}1jfl2GmuKcUB8sPwRlyHK_wT0MjqgljYk'),
    ('tiny', 82.8, 33.046, f'{_DRIVE}1ddNWk89ohcxxMuVEaJ2Y5A6xeBKgA7lU'),
    ('v3_tiny', 83.0, 32.264, 'https://github.com/YuHengsss/MSVMamba/tree/v2'),
    ('v3_small', 84.1, 50.216, 'https://github.com/YuHengsss/MSVMamba/tree/v2'),
    ('v3_base', 84.4, 90.592, 'https://github.com/YuHengsss/MSVMamba/tree/v2'),
)
FOLDERS |= {
    f'msvmamba-{arch}_in1k-224x224': WeightFolder(
        name=f'msvmamba-{arch}_in1k-224x224',
        family='msvmamba',
        backbone='mamba_dense.MSVMamba',
        arch=arch,
        url=url,
        licence='none stated',
        input_size=(224, 224),
        parameters=parameters,
        metrics=(Metric('top-1', top1),),
    )
    for arch, top1, parameters, url in _MSVMAMBA
}

# arch, top-1 after 300 epochs, millions of parameters
_EFFICIENTVIM = (
    ('m1', 72.9, 6.7),
    ('m2', 75.4, 13.9),
    ('m3', 77.6, 16.6),
    ('m4', 79.4, 19.6),
)


def _efficientvim(arch: str, top1: float, parameters: float) -> WeightFolder:
    side = 256 if arch == 'm4' else 224
    return WeightFolder(
        name=f'efficientvim-{arch}_in1k-{side}x{side}',
        family='efficientvim',
        backbone='mamba_dense.EfficientViM',
        arch=arch,
        url='https://github.com/mlvlab/EfficientViM',
        licence='not noted',
        input_size=(side, side),
        parameters=parameters,
        metrics=(Metric('top-1', top1),),
    )


FOLDERS |= {folder.name: folder for folder in (_efficientvim(*row) for row in _EFFICIENTVIM)}

# task and data, then for each size: millions of parameters, figures in percent
_BCD, _SCD, _BDA = (
    ('OA', 'F1', 'IoU', 'kappa'),
    ('OA', 'F1', 'mIoU', 'SeK'),
    ('F1 of location', 'F1 of damage', 'F1 overall'),
)
_CHANGEMAMBA = (
    (
        'bcd_sysu-cd',
        _BCD,
        (32.614, 91.36, 81.29, 68.48, 75.68),
        (54.0, 92.39, 83.36, 71.46, 78.43),
        (92.4, 92.3, 83.11, 71.1, 78.13),
    ),
    (
        'bcd_levir-cd-plus',
        _BCD,
        (32.614, 99.03, 88.04, 78.63, 87.53),
        (54.0, 99.02, 87.81, 78.27, 87.3),
        (92.4, 99.06, 88.39, 79.2, 87.91),
    ),
    (
        'bcd_whu-cd',
        _BCD,
        (32.614, 99.57, 94.09, 88.84, 93.87),
        (54.0, 99.57, 94.06, 88.79, 93.84),
        (92.4, 99.58, 94.19, 89.02, 93.98),
    ),
    (
        'scd_second',
        _SCD,
        (37.126, 88.07, 63.44, 73.33, 23.34),
        (58.512, 88.38, 64.1, 73.61, 24.04),
        (97.035, 88.12, 64.03, 73.68, 24.11),
    ),
    (
        'bda_xbd',
        _BDA,
        (34.87, 87.53, 78.35, 81.11),
        (56.256, 86.61, 78.8, 81.14),
        (94.718, 87.38, 78.84, 81.41),
    ),
)
# sizes of ChangeMamba and their encoders; tiny has the first four of this one's five deep blocks
_ENCODERS = {'tiny': 'tiny_s2l5', 'small': 'small_s2l15', 'base': 'base_s2l15'}
FOLDERS |= {
    folder.name: folder
    for task, names, *rows in _CHANGEMAMBA
    for (size, arch), (parameters, *values) in zip(_ENCODERS.items(), rows, strict=True)
    for folder in (
        WeightFolder(
            name=f'changemamba-{size}_{task}-256x256',
            family='changemamba',
            backbone='mamba_dense.VMamba',
            arch=arch,
            url=f'{_DRIVE}1kVKgbElM23c-hSNZ_TTqfxXNXrPgNJ6L',
            licence='Apache-2.0',
            input_size=(256, 256),
            parameters=parameters,
            metrics=tuple(map(Metric, names, values)),
        ),
    )
}
