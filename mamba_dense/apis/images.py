"""Pictures in and out: finding, reading, checking, converting and writing image files.

An image here is an array (H, W) or (H, W, channels), colours in the order red, green, blue.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..weights.save import atomic_write

SUFFIXES = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.webp', '.ppm', '.pgm', '.npy')
# full range of each dtype that has one; a float image has none and needs value_range
_FULL_RANGE = {np.dtype(np.uint8): (0.0, 255.0), np.dtype(np.uint16): (0.0, 65535.0)}
# a 16-bit image whose values all lie below this is a 10 or 12-bit one, or badly exposed
_DARK = 4096
# start and end of a JPEG, start of its pixels
_SOI, _EOI, _SOS = b'\xff\xd8', b'\xff\xd9', b'\xff\xda'


class ImageError(ValueError):
    """An image that cannot be used; the message names it, its value and the way out."""


def find_images(path: str | Path, leave_out: str | Path | None = None) -> tuple[Path, ...]:
    """The image at `path`, or all images of the folder `path` and its subfolders, sorted.

    Args:
        path: file or folder.
        leave_out: a folder not to look into, where results are written.

    Raises:
        ImageError: nothing is there, or a folder without a file of a known suffix.
    """
    path = Path(path)
    if path.is_file():
        return (path,)
    if not path.exists():
        raise ImageError(f'{path}: no such file or folder.')
    found = sorted(p for p in path.rglob('*') if p.suffix.lower() in SUFFIXES and p.is_file())
    if leave_out is not None and Path(leave_out).resolve() != path.resolve():
        found = [p for p in found if not p.resolve().is_relative_to(Path(leave_out).resolve())]
    if not found:
        raise ImageError(f'{path}: no image in this folder; looked for {" ".join(SUFFIXES)}.')
    return tuple(found)


def read_image(path: str | Path, channels: int = 3) -> np.ndarray:
    """Read an image file as it is stored: 8 or 16 bits, grey (H, W) or colour (H, W, channels).

    EXIF orientation is applied. Transparency is left out unless the network takes more than
    three channels. A `.npy` file is mapped, not read, so it may be larger than memory.

    Args:
        path: the file.
        channels: channels the network takes.

    Raises:
        ImageError: the file is missing, empty, cut off, no image, or holds several pages.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f'{path}: no such file.')
    size = path.stat().st_size
    if size == 0:
        raise ImageError(f'{path}: the file is empty (0 bytes).')
    if path.suffix.lower() == '.npy':
        return _map_array(path)
    data = np.fromfile(path, np.uint8)
    if path.suffix.lower() in ('.jpg', '.jpeg'):
        _check_whole_jpeg(path, data.tobytes())
    if path.suffix.lower() in ('.tif', '.tiff'):
        _check_one_page(path)
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED if channels > 3 else flags)
    except cv2.error as error:
        raise ImageError(f'{path}: cannot be decoded: {error}') from error
    if image is None:
        raise ImageError(
            f'{path}: cannot be decoded as an image ({size} bytes); it may be damaged, or of a '
            f'kind that OpenCV does not read. Readable: {" ".join(SUFFIXES)}.'
        )
    if image.ndim == 3 and image.shape[2] >= 3:
        order = [2, 1, 0, *range(3, image.shape[2])]
        image = np.ascontiguousarray(image[:, :, order])
    return image


def _map_array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode='r', allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ImageError(f'{path}: cannot be read as a numpy array: {error}') from error


def _check_whole_jpeg(path: Path, data: bytes) -> None:
    # OpenCV fills the missing part of a cut-off JPEG with grey and only mutters
    if data.startswith(_SOI) and data.find(_EOI, max(data.rfind(_SOS), 0)) < 0:
        raise ImageError(
            f'{path}: the JPEG data ends early ({len(data)} bytes, no end marker); '
            'copy or download the file again.'
        )


def _check_one_page(path: Path) -> None:
    pages = cv2.imcount(str(path), cv2.IMREAD_UNCHANGED)
    if pages > 1:
        raise ImageError(
            f'{path}: holds {pages} pages, and only single pictures are read; '
            'save the pages as files of their own.'
        )


def check_image(
    image: np.ndarray, value_range: Sequence[float] | None = None, name: str = 'image'
) -> tuple[float, float]:
    """Check an image and return the values that become 0 and 255.

    Args:
        image: (H, W) or (H, W, channels), uint8, uint16 or, with `value_range`, any real dtype.
        value_range: darkest and brightest value; None takes the whole range of 8 or 16 bits.
        name: what errors call the image.

    Raises:
        ImageError: no pixels, a wrong number of axes, a dtype without a range, values that are
            not finite, or 16-bit values so small that the whole range would make them black.
    """
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ImageError(
            f'{name}: has shape {tuple(image.shape)}; an image is (H, W) or (H, W, channels) '
            'with at least one pixel.'
        )
    if value_range is not None:
        low, high = (float(v) for v in value_range)
        if not low < high or not np.isfinite([low, high]).all():
            raise ImageError(f'{name}: value_range=({low}, {high}) must be two rising numbers.')
        if image.dtype.kind not in 'buif':
            raise ImageError(f'{name}: has dtype {image.dtype}, which is not a real number.')
        if image.dtype.kind == 'f' and not np.isfinite(image).all():
            raise ImageError(f'{name}: has values that are not finite; replace them first.')
        return low, high
    if image.dtype not in _FULL_RANGE:
        raise ImageError(
            f'{name}: has dtype {image.dtype}, whose brightest value is not known; allowed are '
            'uint8 and uint16, or give the range, for example value_range=(0, 1), --range 0 1.'
        )
    if image.dtype == np.uint16 and (brightest := int(image.max())) < _DARK:
        raise ImageError(
            f'{name}: is 16-bit, but its largest value is {brightest}, nearly black on the scale '
            f'to 65535; give the range it was taken with, such as value_range=(0, {_DARK - 1}), '
            f'--range 0 {_DARK - 1} of a 12-bit camera, or 0 65535 if it is meant to be that dark.'
        )
    return _FULL_RANGE[image.dtype]


def to_bytes(
    image: np.ndarray, channels: int, limits: tuple[float, float], name: str = 'image'
) -> np.ndarray:
    """An image as (H, W, channels) uint8, the form the networks' pipelines take.

    Grey becomes three equal channels, colour becomes grey for a network of one channel, and a
    fourth channel (transparency) is dropped for a network of three.

    Args:
        image: (H, W) or (H, W, C) as `check_image` has passed it.
        channels: channels the network takes.
        limits: the values that become 0 and 255; what lies outside is clipped.
        name: what errors call the image.

    Raises:
        ImageError: the channels of the image do not fit those of the network.
    """
    if image.ndim == 2:
        image = image[:, :, None]
    have = image.shape[2]
    fits = have == channels or channels == 3 and have in (1, 4) or channels == 1 and have in (3, 4)
    if not fits:
        raise ImageError(
            f'{name}: has {have} channels, the network takes {channels}'
            + (' (grey, colour and colour with transparency fit).' if channels in (1, 3) else '.')
        )
    low, high = limits
    if image.dtype != np.uint8 or (low, high) != (0.0, 255.0):
        scaled = (image.astype(np.float32) - low) * (255.0 / (high - low))
        image = np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)
    if channels == 3:
        image = image.repeat(3, axis=2) if have == 1 else image[:, :, :3]
    elif channels == 1 and have > 1:
        image = cv2.cvtColor(np.ascontiguousarray(image[:, :, :3]), cv2.COLOR_RGB2GRAY)[:, :, None]
    return np.ascontiguousarray(image)


def encode_png(image: np.ndarray) -> bytes:
    """An image, (H, W) or (H, W, 3), 8 or 16 bits, as the bytes of a PNG file."""
    stored = image[:, :, ::-1] if image.ndim == 3 else image
    return cv2.imencode('.png', np.ascontiguousarray(stored))[1].tobytes()


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write an image, (H, W) or (H, W, 3), 8 or 16 bits, as a PNG file, whole or not at all."""
    data = encode_png(image)
    atomic_write(path, lambda part: part.write_bytes(data))
