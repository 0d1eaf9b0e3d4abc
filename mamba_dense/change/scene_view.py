"""How a synthetic scene looks on one date: colours, textures, roofs, shadows, light, haze."""

from dataclasses import dataclass, field, replace
from functools import cache

import cv2
import numpy as np

from mamba_dense import samples

COVERS = (
    'no change',
    'low vegetation',
    'non-vegetated ground surface',
    'tree',
    'water',
    'building',
    'playground',
)
LOW_VEGETATION, GROUND, TREE, WATER, BUILDING, PLAYGROUND = range(1, 7)

_GREEN, _DRY = np.array([92, 128, 62.0]), np.array([158, 142, 88.0])
_LEAVES, _AUTUMN = np.array([42, 76, 38.0]), np.array([98, 78, 44.0])
_SOIL, _ASPHALT = np.array([164, 138, 108.0]), np.array([118, 118, 120.0])
_LAKE = np.array([44, 74, 92.0])
_COURT = np.array([176, 84, 66.0])
_RUBBLE = np.array([150, 140, 128.0])
_ROOFS = np.array(
    [[178, 92, 72], [142, 76, 62], [196, 192, 186], [106, 110, 120], [208, 176, 140]], np.float64
)
_TEXTURES = ('trees/OSBS_029.jpg', 'trees/SOAP_061.jpg')
# share of the roof that is gone, by grade: its rubble is seen
_GONE = (0.0, 0.0, 0.18, 0.55, 1.0)


def fill_box(image: np.ndarray, box: tuple, value: int = 1) -> None:
    """Set the pixels of a turned rectangle in `image` (H, W) uint8."""
    cv2.fillPoly(image, [np.round(cv2.boxPoints(box)).astype(np.int32)], value)


def box_window(size: tuple[int, int], box: tuple) -> tuple[tuple[slice, slice], tuple]:
    """The part of an image (H, W) round a turned rectangle, and the rectangle as it lies there."""
    (x, y), extent, angle = box
    corners = cv2.boxPoints(box)
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, None)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 2
    window = slice(top, max(min(bottom, size[0]), top)), slice(left, max(min(right, size[1]), left))
    return window, ((x - float(left), y - float(top)), extent, angle)


@dataclass(frozen=True)
class Building:
    """A house on a turned rectangle ((x, y), (width, height), degrees).

    height: of the walls, as pixels of shadow. roof: number of its colour. shade: of its own.
    grade: 1 not damaged, 2 minor, 3 major, 4 destroyed.
    """

    box: tuple
    height: float
    roof: int
    shade: float
    grade: int = 1


@dataclass
class Land:
    """The ground without its buildings, and these.

    cover: (H, W) uint8, as `COVERS`. tone: shade of each region. angle: of its furrows, radians.
    texture: fine grain that stays from date to date. foliage: number of the trees' texture.
    """

    cover: np.ndarray
    tone: np.ndarray
    angle: np.ndarray
    texture: np.ndarray
    foliage: int = 0
    buildings: list[Building] = field(default_factory=list)

    def copy(self) -> 'Land':
        """Another land that can be changed."""
        return replace(
            self, cover=self.cover.copy(), tone=self.tone.copy(), buildings=list(self.buildings)
        )

    def with_buildings(self) -> np.ndarray:
        """The cover with buildings on it; a damaged one is still a building."""
        cover = self.cover.copy()
        for building in self.buildings:
            fill_box(cover, building.box, BUILDING)
        return cover

    def grades(self) -> np.ndarray:
        """Grade of the building at each pixel, 0 where there is none; (H, W) uint8."""
        grades = np.zeros(self.cover.shape, np.uint8)
        for building in self.buildings:
            fill_box(grades, building.box, building.grade)
        return grades


@dataclass(frozen=True)
class View:
    """One date.

    season: 0 green to 1 dry. sun: direction of the shadows, (x, y) of length 1. gain, cast: light.
    haze: share of white. blur, shift: of the optics, in pixels. grain: of the sensor, in grey
    levels.
    """

    season: float
    sun: tuple[float, float]
    gain: float
    cast: tuple[float, ...]
    haze: float
    blur: float
    shift: tuple[float, float]
    grain: float


def noise(rng: np.random.Generator, size: tuple[int, int], cell: float) -> np.ndarray:
    """Smooth noise of mean 0 and deviation about 1 whose lumps are `cell` pixels wide."""
    small = [int(np.ceil(side / cell)) + 2 for side in size]
    field_ = rng.standard_normal(small).astype(np.float32)
    big = cv2.resize(field_, (size[1] + int(2 * cell), size[0] + int(2 * cell)), None, 0, 0, 2)
    start = int(cell)
    return big[start : start + size[0], start : start + size[1]] * 1.5


@cache
def _foliage() -> tuple[np.ndarray, ...]:
    """Brightness of the bundled pictures of trees around 1, without their large-scale shading."""
    found = []
    for name in _TEXTURES:
        grey = cv2.imread(str(samples.path(name)), cv2.IMREAD_GRAYSCALE).astype(np.float32)
        found.append(np.clip(grey / cv2.GaussianBlur(grey, (0, 0), 24), 0.45, 1.8))
    return tuple(found)


def render(land: Land, view: View, rng: np.random.Generator) -> np.ndarray:
    """The picture of a land, (H, W, 3) 8-bit RGB."""
    size = land.cover.shape
    image = _ground(land, view, rng)
    image *= 1 - 0.5 * _shadows(land, view)[..., None]
    for building in land.buildings:
        _roof(image, building, view, rng)
    image = image * view.gain * np.array(view.cast, np.float32)
    veil = np.clip(view.haze * (1 + 0.4 * noise(rng, size, 60)), 0, 0.6)[..., None]
    image = image * (1 - veil) + 215 * veil
    move = np.float32([[1, 0, view.shift[0]], [0, 1, view.shift[1]]])
    image = cv2.warpAffine(
        image.astype(np.float32), move, size[::-1], borderMode=cv2.BORDER_REFLECT_101
    )
    image = cv2.GaussianBlur(image, (0, 0), view.blur)
    image += view.grain * rng.standard_normal(size + (1,), dtype=np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def _ground(land: Land, view: View, rng: np.random.Generator) -> np.ndarray:
    """Colours of the covers, (H, W, 3) float32."""
    size = land.cover.shape
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    furrows = np.sin(1.1 * (rows * np.sin(land.angle) + columns * np.cos(land.angle)))
    fine = noise(rng, size, 2)
    tone, own = land.tone, land.texture
    dry = np.clip(view.season + 0.35 * tone, 0, 1)[..., None]
    leaf = np.clip(view.season * 0.8 + 0.15 * own, 0, 1)[..., None]
    asphalt = np.clip(tone - 0.8, 0, 1)[..., None]
    foliage = _foliage()[land.foliage % len(_TEXTURES)]
    reach = [-(-side // have) for side, have in zip(size, foliage.shape, strict=True)]
    crowns = np.tile(foliage, reach)[: size[0], : size[1], None]
    plain = np.ones(3, np.float32)
    colours = {
        LOW_VEGETATION: (_GREEN + (_DRY - _GREEN) * dry)
        + (5 * furrows + 4 * own + 10 * tone)[..., None],
        GROUND: (_SOIL + (_ASPHALT - _SOIL) * asphalt)
        + (5 * own + 10 * np.clip(tone, -1, 1))[..., None],
        TREE: (_LEAVES + (_AUTUMN - _LEAVES) * leaf) * crowns,
        WATER: _LAKE + (3 * own + 6 * tone)[..., None] * plain,
        PLAYGROUND: _COURT + (12 * tone + 2 * own)[..., None] * plain,
    }
    image = np.empty((*size, 3), np.float32)
    for cover, colour in colours.items():
        where = land.cover == cover
        image[where] = colour[where]
    return image + 2 * fine[..., None]


def _shadows(land: Land, view: View) -> np.ndarray:
    """How much of the sun is taken away, 0 or 1, (H, W)."""
    size = land.cover.shape
    dark = np.zeros(size, np.uint8)
    sun = np.array(view.sun)
    for building in land.buildings:
        height = building.height * (1 - _GONE[building.grade])
        corners = cv2.boxPoints(building.box)
        reach = np.concatenate([corners, corners + sun * height]).astype(np.float32)
        cv2.fillConvexPoly(dark, np.round(cv2.convexHull(reach)).astype(np.int32), 1)
    return dark.astype(np.float32)


def _roof(image: np.ndarray, building: Building, view: View, rng: np.random.Generator) -> None:
    """Draw a roof of two slopes, and what damage leaves of it."""
    window, box = box_window(image.shape[:2], building.box)
    image = image[window]
    size = image.shape[:2]
    mask = np.zeros(size, np.uint8)
    fill_box(mask, box)
    (x, y), (w, h), angle = box
    turn = np.deg2rad(angle + (0 if w < h else 90))  # across the ridge, which runs the long way
    across = np.array([np.cos(turn), np.sin(turn)])
    rows, columns = np.nonzero(mask)
    side = (columns - x) * across[0] + (rows - y) * across[1]
    lit = 1 - 0.14 * np.sign(side) * np.sign(across @ np.array(view.sun))
    colour = _ROOFS[building.roof] * (1 + building.shade)
    roof = colour * lit[:, None]
    gone = _GONE[building.grade]
    if gone:
        lumps = noise(rng, size, 5)[rows, columns]
        holes = lumps > np.quantile(lumps, 1 - gone)
        debris = _RUBBLE * (0.8 + 0.2 * noise(rng, size, 2)[rows, columns])[:, None]
        # holes of a roof that stands show the dark inside, a ruin shows its rubble
        roof[holes] = debris[holes] * (0.35 if building.grade == 2 else 0.9)
    image[rows, columns] = roof
