"""Where the pictures of published 2-D sets lie as distributed: ISIC, chest X-rays, nnU-Net PNGs."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mamba_dense.engine.files import IMAGE_SUFFIXES
from mamba_dense.medical.flat_convert import SUBSETS, FlatSource, Picture
from mamba_dense.medical.layout import scan_layout

_MARKED = '_segmentation'  # ISIC's masks
_CHEST = {'MCUCXR': 'Montgomery', 'CHNCXR': 'Shenzhen'}  # first letters of a file -> whose it is
_BINARY = {0: 0, 1: 1, 255: 1}


def find_isic(folder: Path) -> FlatSource:
    """ISIC 2017 or 2018, skin lesions (arXiv 1710.05006, 1902.03368), in either of two layouts.

    As the challenge has it: NAME.jpg and NAME_segmentation.png in task folders anywhere below
    `folder`; 70 % train, as VM-UNet has it (arXiv 2402.02491). As VM-UNet distributes it:
    train/{images,masks} and val/{images,masks}, masks named as their images or with _segmentation.
    """
    found: list[Picture] = []
    problems: list[str] = []
    ready = [subset for subset in SUBSETS if (folder / subset / 'images').is_dir()]
    for subset in ready:
        place = folder / subset
        _pair(_pictures(place / 'images'), _pictures(place / 'masks'), subset, found, problems)
    if not ready:
        everything = _pictures(folder, deep=True)
        masks = [path for path in everything if path.stem.endswith(_MARKED)]
        images = [path for path in everything if path.stem.startswith('ISIC_')]
        images = [path for path in images if not path.stem.endswith((_MARKED, '_superpixels'))]
        _pair(images, masks, None, found, problems)
    if not found and not problems:
        problems.append(f'{folder}: neither train/images nor ISIC_NAME.jpg below it')
    return FlatSource(
        ('skin', 'lesion'),
        tuple(found),
        values=_BINARY,
        shares={'train': 0.7, 'val': 0.3},
        problems=tuple(problems),
    )


def find_chest(folder: Path) -> FlatSource:
    """Lungs in the chest X-rays of Montgomery and Shenzhen (Jaeger et al., QIMS 2014).

    Images lie in folders CXR_png. Montgomery's masks are of each lung, in leftMask and rightMask,
    or united under the image's name; Shenzhen's are NAME_mask.png. 96 of Shenzhen's 662 images
    have none. Dealt 7:1:2, as LightM-UNet has it (arXiv 2403.05246).
    """
    everything = _pictures(folder, deep=True)
    found, problems = [], []
    masks: dict[str, list[Path]] = {}
    for path in everything:
        if path.parent.name != 'CXR_png' and path.stem.startswith(tuple(_CHEST)):
            masks.setdefault(path.stem.removesuffix('_mask'), []).append(path)
    for path in everything:
        if path.parent.name != 'CXR_png':
            continue
        own = sorted(masks.pop(path.stem, []))
        sides = {mask.parent.name for mask in own}
        if not own:
            problems.append(f'{path}: no mask {path.stem}.png or {path.stem}_mask.png')
        elif len(own) != (2 if sides & {'leftMask', 'rightMask'} else 1):
            names = ', '.join(str(mask) for mask in own)
            problems.append(f'{path}: masks {names}; there must be one, or leftMask and rightMask')
        else:
            found.append(Picture(path.stem, (path,), tuple(own)))
    problems += [f'{path}: its image is missing' for own in masks.values() for path in own]
    if not found and not problems:
        problems.append(f'{folder}: no folder CXR_png with PNGs below it')
    return FlatSource(
        ('background', 'lung'),
        tuple(found),
        values=_BINARY,
        shares={'train': 0.7, 'val': 0.1, 'test': 0.2},
        problems=tuple(problems),
    )


def find_flat_raw(folder: Path) -> FlatSource:
    """nnU-Net's raw layout with pictures instead of volumes, such as U-Mamba's microscopy.

    Cases of imagesTr train and validate by splits.json or the first of five folds; those of
    imagesTs that have masks in labelsTs become `test`.
    """
    layout, problems = scan_layout(folder)
    if layout is None:
        return FlatSource((), (), values={}, shares={}, problems=tuple(problems))
    if layout.ending not in IMAGE_SUFFIXES:
        known = ', '.join(IMAGE_SUFFIXES)
        problems.append(
            f'{folder}: files end in {layout.ending}; pictures end in {known}. For volumes take '
            'the layout nnunet.'
        )
        return FlatSource((), (), values={}, shares={}, problems=tuple(problems))
    subsets = {}
    if len(layout.train) > 1:
        subsets = {case.name: part for part in ('train', 'val') for case in layout.split(part)}
    found = [
        Picture(case.name, case.images, (case.labels,), subsets.get(case.name, 'train'))
        for case in layout.train
    ]
    found += [
        Picture(case.name, case.images, (case.labels,), 'test')
        for case in layout.test
        if case.labels is not None
    ]
    return FlatSource(
        layout.classes,
        tuple(found),
        values={number: number for number in range(len(layout.classes))},
        shares={'train': 0.8, 'val': 0.2},
        problems=tuple(problems),
    )


FINDERS: Mapping[str, Callable[[Path], FlatSource]] = {
    'isic': find_isic,
    'chest-xray': find_chest,
    'nnunet-png': find_flat_raw,
}


def _pair(
    images: Iterable[Path],
    masks: Iterable[Path],
    subset: str | None,
    found: list[Picture],
    problems: list[str],
) -> None:
    """Add each image with the mask of its name to `found`; what is left alone to `problems`."""
    by_name = {path.stem.removesuffix(_MARKED): path for path in masks}
    for image in images:
        mask = by_name.pop(image.stem, None)
        if mask is None:
            problems.append(f'{image}: no mask {image.stem}.png or {image.stem}{_MARKED}.png')
        else:
            found.append(Picture(image.stem, (image,), (mask,), subset))
    problems += [f'{mask}: its image is missing' for mask in by_name.values()]


def _pictures(folder: Path, deep: bool = False) -> list[Path]:
    """Pictures in a folder, but for the shadows (`._NAME`) in archives made on a Mac."""
    if not folder.is_dir():
        return []
    files = folder.rglob('*') if deep else folder.iterdir()
    return sorted(p for p in files if p.suffix.lower() in IMAGE_SUFFIXES and p.name[0] != '.')
