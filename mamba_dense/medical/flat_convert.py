"""Pictures and masks of published 2-D sets -> mmseg's layout: img_dir/SUBSET, ann_dir/SUBSET."""

import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mamba_dense.engine.files import DataError, image_problem, picture_problem, read_mask

SUBSETS = ('train', 'val', 'test')
_REFUSED = 254  # a mask value that means no class
_LISTED = 8  # at most so many values are named


@dataclass(frozen=True)
class Picture:
    """One image and its mask.

    Attributes:
        name: of the files to write.
        images: one file, or one for each of three channels.
        masks: files whose classes are united: where one says 0, another decides.
        subset: 'train', 'val' or 'test'; None leaves it to the shares.
    """

    name: str
    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    subset: str | None = None


@dataclass(frozen=True)
class FlatSource:
    """What of a published 2-D set was found in a folder.

    Attributes:
        classes: names in the order of their numbers.
        pictures: all that have image and mask.
        values: number in the masks -> class.
        shares: of the subsets, for pictures that have none; the sum is 1.
        problems: what keeps other pictures out, one line for each.
    """

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    values: Mapping[int, int]
    shares: Mapping[str, float]
    problems: tuple[str, ...] = ()


def flat_problems(source: FlatSource) -> Iterator[str]:
    """One line for each problem; every picture and mask is read."""
    yield from source.problems
    yield from _doubles(source)
    seen = set()
    for picture in source.pictures:
        try:
            seen.update(np.unique(_labels(picture, source.values)).tolist())
        except DataError as error:
            yield from error.problems
    yield from _unseen(source, seen)


def write_flat(
    source: FlatSource, out: str | Path, *, val_share: float | None = None, seed: int = 0
) -> tuple[dict[str, int], list[str], list[str]]:
    """Write `source` in mmseg's layout; what cannot be used is left out.

    Images are copied, or made one file of their three channels; masks become 8-bit PNGs of class
    numbers. All images must have one suffix, since a config names one.

    Args:
        source: what was found.
        out: folder to write to, which must not hold data yet.
        val_share: share of the pictures without a subset that validates, all others train; None
            takes the shares of the source.
        seed: of the split.

    Returns:
        How many pictures were written, by subset, one line for each that was left out, and one if
        what is left shows a class nowhere.

    Raises:
        DataError: no picture can be used; lists why.
        FileExistsError: `out` holds data already.
        ValueError: `val_share` out of its range.
    """
    shares = source.shares
    if val_share is not None:
        if not 0 < val_share < 1:
            raise ValueError(f'val_share={val_share} must lie between 0 and 1')
        shares = {'train': 1 - val_share, 'val': val_share}
    out = Path(out)
    if any((out / folder).exists() for folder in ('img_dir', 'ann_dir')):
        raise FileExistsError(f'{out} holds data already: choose another folder or delete it')
    left_out = [*source.problems, *_doubles(source)]
    doubled = _doubled(source)
    usable: list[Picture] = []
    seen: set[int] = set()
    for picture in source.pictures:
        if picture.name in doubled:
            continue
        try:
            seen.update(np.unique(_labels(picture, source.values)).tolist())
            usable.append(picture)
        except DataError as error:
            left_out += error.problems
    if not usable:
        raise DataError(left_out or ['no picture with a mask found'])
    dealt = deal(usable, shares, seed)
    subsets = sorted({subset for _, subset in dealt}, key=SUBSETS.index)
    counts = dict.fromkeys(subsets, 0)
    for picture, subset in dealt:
        _write(picture, source.values, out, subset)
        counts[subset] += 1
    content = json.dumps({'classes': list(source.classes)}, indent=2)
    (out / 'classes.json').write_text(content + '\n', encoding='utf-8')
    return counts, left_out, _unseen(source, seen)


def deal(
    pictures: Sequence[Picture], shares: Mapping[str, float], seed: int
) -> list[tuple[Picture, str]]:
    """Each picture with its subset: its own, or one dealt in the proportion of `shares`.

    The subsets but `train` have one picture at least where there are enough, `train` the rest.
    """
    free = [picture.name for picture in pictures if picture.subset is None]
    random.Random(seed).shuffle(free)
    dealt: dict[str, str] = {}
    total = len(free)
    for subset, share in shares.items():
        if subset == 'train':
            continue
        count = min(max(1, round(share * total)), max(len(free) - 1, 0))
        dealt |= dict.fromkeys(free[:count], subset)
        free = free[count:]
    return [(p, p.subset or dealt.get(p.name, 'train')) for p in pictures]


def _labels(picture: Picture, values: Mapping[int, int]) -> np.ndarray:
    """The united masks as class numbers (H, W) uint8, once image and masks have been looked at.

    Raises:
        DataError: a file is missing or broken, sizes differ, a mask has another value.
    """
    problems = [problem for path in picture.images if (problem := picture_problem(path))]
    problems += [problem for path in picture.masks if (problem := image_problem(path))]
    if problems:
        raise DataError(problems)
    sizes = {path: _size(path) for path in (*picture.images, *picture.masks)}
    if len(set(sizes.values())) > 1:
        listed = ', '.join(f'{path} {w}x{h}' for path, (w, h) in sizes.items())
        raise DataError([f'{picture.images[0]}: image and masks of several sizes: {listed}'])
    if len(picture.images) not in (1, 3):
        raise DataError(
            [f'{picture.images[0]}: {len(picture.images)} files of a channel each; 1 or 3 fit']
        )
    united = None
    for path in picture.masks:
        labels = _classes(path, values)
        united = labels if united is None else np.where(united == 0, labels, united)
    return united


def _classes(path: Path, values: Mapping[int, int]) -> np.ndarray:
    """One mask as class numbers (H, W) uint8.

    Raises:
        DataError: colours, or a value that means no class.
    """
    mask = read_mask(path)
    if mask.ndim == 3 and (mask == mask[:, :, :1]).all():  # grey, saved as colour
        mask = mask[:, :, 0]
    if mask.ndim != 2:
        raise DataError([f'{path}: a mask of {mask.shape[2]} channels that differ; one is needed'])
    wrong = sorted({int(value) for value in np.unique(mask)} - {*values})
    if wrong:
        listed = ', '.join(map(str, wrong[:_LISTED])) + (', ...' if len(wrong) > _LISTED else '')
        allowed = ', '.join(map(str, sorted(values)))
        raise DataError([f'{path}: label {listed} outside the classes; allowed: {allowed}'])
    table = np.full(max(values) + 1, _REFUSED, np.uint8)
    table[list(values)] = list(values.values())
    return table[mask.astype(np.intp)]


def _write(picture: Picture, values: Mapping[int, int], out: Path, subset: str) -> None:
    places = [out / folder / subset for folder in ('img_dir', 'ann_dir')]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    first = picture.images[0]
    target = places[0] / f'{picture.name}{first.suffix}'
    if len(picture.images) == 1:
        shutil.copyfile(first, target)
    else:
        channels = [np.array(Image.open(path).convert('L')) for path in picture.images]
        Image.fromarray(np.stack(channels, axis=2)).save(target)
    Image.fromarray(_labels(picture, values)).save(places[1] / f'{picture.name}.png')


def _doubled(source: FlatSource) -> set[str]:
    """Names that a subset has twice, and pictures of another suffix than most."""
    names = [picture.name for picture in source.pictures]
    suffixes = [picture.images[0].suffix for picture in source.pictures]
    common = max(sorted(set(suffixes)), key=suffixes.count, default='')
    twice = (
        {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    )
    return twice | {p.name for p in source.pictures if p.images[0].suffix != common}


def _doubles(source: FlatSource) -> Iterator[str]:
    doubled = _doubled(source)
    for picture in source.pictures:
        if picture.name in doubled:
            yield (
                f'{picture.images[0]}: its name is there twice, or its suffix is not that of most '
                'pictures; rename or convert it'
            )


def _unseen(source: FlatSource, seen: set[int]) -> list[str]:
    absent = [name for number, name in enumerate(source.classes) if number not in seen]
    return [f'no mask shows {", ".join(absent)}'] if absent and seen else []


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
