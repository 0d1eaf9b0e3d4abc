"""Pictures and labels of pairs as they lie in files: grey, coloured, palettes, xBD's polygons."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mamba_dense.engine.files import DataError

# xBD's subtypes; what nobody could tell counts nowhere
XBD_GRADES = {
    'no-damage': 1,
    'minor-damage': 2,
    'major-damage': 3,
    'destroyed': 4,
    'un-classified': 255,
}
_SHOWN = 8
_COLOURED = ('RGB', 'RGBA', 'P', 'PA', 'CMYK', 'YCbCr', 'LAB', 'HSV')
_UNREADABLE = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
)


def read_colour(path: str | Path) -> np.ndarray:
    """A picture of three bands, (H, W, 3) uint8 RGB.

    Raises:
        DataError: not a readable picture, or one of a single band.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in _COLOURED:
                raise DataError(
                    f'{path}: one band (mode {image.mode}), three of 8 bits are needed; '
                    'save it as RGB'
                )
            return np.array(image.convert('RGB'))
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f'{path}: not a readable image ({error})') from error


def read_label(path: str | Path, colours: bool = False) -> np.ndarray:
    """The stored values of a label (H, W), or its colours (H, W, 3).

    Args:
        path: a picture, or a JSON file of xBD. Of several bands the first one is the value.
        colours: whether colours are the label.

    Raises:
        DataError: not a readable picture or JSON, or a grey one where colours are the label.
    """
    if Path(path).suffix.lower() == '.json':
        return read_polygons(path)
    if colours:
        return read_colour(path)
    try:
        with Image.open(path) as image:
            label = np.array(image)
    except _UNREADABLE as error:
        raise DataError(f'{path}: not a readable image ({error})') from error
    label = label[..., 0] if label.ndim == 3 else label
    return label.astype(np.uint8) if label.dtype == bool else label


def read_polygons(path: str | Path) -> np.ndarray:
    """The buildings of an xBD JSON file: grades 1 to 4, 255 if nobody could tell, (H, W) uint8.

    Before a disaster the polygons have no grade and are 1.

    Raises:
        DataError: not such a file, or an unknown grade.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
        size = int(content['metadata']['height']), int(content['metadata']['width'])
        label = np.zeros(size, np.uint8)
        for feature in content['features']['xy']:
            grade = feature['properties'].get('subtype', 'no-damage')
            if grade not in XBD_GRADES:
                known = ', '.join(XBD_GRADES)
                raise DataError(f'{path}: subtype {grade!r} has no meaning; allowed: {known}')
            cv2.fillPoly(label, _rings(feature['wkt']), XBD_GRADES[grade])
    except DataError:
        raise
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise DataError(f'{path}: not readable as JSON ({error})') from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f'{path}: not a label file of xBD ({error!r})') from error
    return label


def _rings(wkt: str) -> list[np.ndarray]:
    """The rings of a POLYGON or MULTIPOLYGON in pixels; filled together, inner ones are holes."""
    return [
        np.round(
            [[float(value) for value in point.split()[:2]] for point in ring.split(',')]
        ).astype(np.int32)
        for ring in re.findall(r'\(([^()]+)\)', wkt)
    ]


def coloured(meaning: Mapping) -> bool:
    """Whether an encoding is one of colours."""
    return any(isinstance(key, tuple) for key in meaning)


def decode(label: np.ndarray, meaning: Mapping, path: str | Path) -> np.ndarray:
    """Class numbers of stored values (H, W) or colours (H, W, 3); (H, W) uint8.

    Raises:
        DataError: a value or colour without a meaning.
    """
    what = 'values'
    if coloured(meaning):
        what = 'colours'
        label = _pack(label.astype(np.int32))
        meaning = {int(_pack(np.array(colour))): number for colour, number in meaning.items()}
    known = np.array(sorted(meaning))
    numbers = np.array([meaning[key] for key in known.tolist()], np.uint8)
    if label.dtype == np.uint8:  # a table of all values is several times faster
        allowed = np.isin(np.arange(256), known)
        table = np.zeros(256, np.uint8)
        table[known] = numbers
        if not allowed[label].all():
            _refuse(np.unique(label), known, what, path)
        return table[label]
    place = np.searchsorted(known, label).clip(max=len(known) - 1)
    if (known[place] != label).any():
        _refuse(np.unique(label), known, what, path)
    return numbers[place]


def _pack(colour: np.ndarray) -> np.ndarray:
    return (colour[..., 0] << 16) + (colour[..., 1] << 8) + colour[..., 2]


def _refuse(stored: np.ndarray, known: np.ndarray, what: str, path: str | Path) -> None:
    unknown = [value for value in stored.tolist() if value not in known]
    shown, allowed = unknown[:_SHOWN], known.tolist()
    if what == 'colours':
        shown, allowed = (
            [(v >> 16, v >> 8 & 255, v & 255) for v in one] for one in (shown, allowed)
        )
    raise DataError(f'{path}: {what} {shown} have no meaning; allowed: {allowed}')
