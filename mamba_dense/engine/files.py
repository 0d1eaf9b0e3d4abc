"""Files that a training depends on: images looked at, and the error that lists every finding."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')
VOLUME_SUFFIXES = ('.nii.gz', '.nii')
_SHOWN = 20
# a sixteenth of the range of 16 bits: what cameras of 12 bits write
_DARK = 4096


class DataError(ValueError):
    """Data that cannot be trained on; `problems` has one line for each (a text is one problem)."""

    def __init__(self, problems: Sequence[str] | str):
        if isinstance(problems, str):  # so does torch raise it again out of a loader's worker
            self.problems = [problems]
            super().__init__(problems)
            return
        self.problems = list(problems)
        shown = self.problems[:_SHOWN]
        more = len(self.problems) - len(shown)
        lines = [f'{len(self.problems)} problem(s) in the data:', *shown]
        super().__init__('\n  '.join([*lines, f'... and {more} more'] if more else lines))


def image_problem(path: str | Path, channels: int | None = None, whole: bool = True) -> str | None:
    """What is wrong with an image file, or None.

    Args:
        path: the file.
        channels: how many channels the network takes; None does not look.
        whole: decode every pixel, not the header alone.
    """
    path = Path(path)
    if not path.exists():
        return f'{path}: does not exist'
    if path.stat().st_size == 0:
        return f'{path}: an empty file'
    try:
        with Image.open(path) as image:
            if whole:
                image.load()
            found = len(image.getbands())
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        return f'{path}: not a readable image ({error})'
    if channels is not None and found != channels:
        return f'{path}: {found} channels, the network takes {channels}'
    return None


def picture_problem(path: str | Path) -> str | None:
    """As `image_problem` for pictures that are loaded as 8 bits: refuses nearly black 16-bit ones.

    Loaders of colour pictures keep the upper 8 of 16 bits.
    """
    problem = image_problem(path)
    if problem is not None:
        return problem
    with Image.open(path) as image:
        brightest = image.getextrema()[1] if image.mode.startswith('I') else _DARK
    if brightest >= _DARK:
        return None
    return (
        f'{path}: 16-bit, but its largest value is {brightest}, nearly black in the upper 8 bits '
        f'that are loaded; save it with 8 bits, values times {255 / max(brightest, 1):.3g}'
    )


def read_mask(path: str | Path) -> np.ndarray:
    """The values of a mask file (H, W), palette images as indices."""
    with Image.open(path) as image:
        return np.array(image)
