"""Synthetic pairs of aerial-like scenes with exact labels, for tests and demonstrations.

Nothing here was photographed but the leaves of the trees, whose texture is that of the bundled
pictures. A scene is fields, forest, water, roads, playgrounds and buildings with shadows, seen on
two dates between which season, sun, haze and registration (a fraction of a pixel) differ, and true
changes happen: buildings are built, pulled down or damaged, land is put to other use. The labels
are those of the geometry itself, on the first date's grid. Scores on these scenes compare networks
of one recipe with each other; they say nothing about real imagery.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from mamba_dense.change.scene_view import (
    BUILDING,
    COVERS,
    GROUND,
    LOW_VEGETATION,
    PLAYGROUND,
    TREE,
    WATER,
    Building,
    Land,
    View,
    box_window,
    fill_box,
    noise,
    render,
)

EVENTS = ('growth', 'disaster')
GRADES = ('no building', 'no damage', 'minor damage', 'major damage', 'destroyed')
_FIELD = 52  # pixels a side of a field
_LOT = 40.0  # pixels a side of the land that one building takes up
_SHARES = (0.4, 0.2, 0.2, 0.2)  # of the grades 1 to 4 in a disaster


@dataclass(frozen=True)
class ScenePair:
    """Two dates and what happened in between.

    pre, post: pictures (H, W, 3), 8-bit RGB.
    change: 1 where the land cover differs, else 0; (H, W) uint8.
    pre_cover, post_cover: land cover where it changed, 1 to 6 as `COVERS` lists, else 0.
    building: 1 where a building stood on the first date.
    damage: its grade on the second date, 1 (none) to 4 (destroyed), else 0.
    """

    pre: np.ndarray
    post: np.ndarray
    change: np.ndarray
    pre_cover: np.ndarray
    post_cover: np.ndarray
    building: np.ndarray
    damage: np.ndarray


@dataclass
class _Plan:
    """Land in the making, with the random numbers that make it."""

    rng: np.random.Generator
    land: Land
    taken: np.ndarray = field(init=False)  # where no building may be put

    def __post_init__(self) -> None:
        self.taken = np.zeros(self.land.cover.shape, np.uint8)

    @property
    def size(self) -> tuple[int, int]:
        return self.land.cover.shape

    def paint(self, mask: np.ndarray, cover: int) -> None:
        """Give `mask` another cover; what has it already keeps its tone."""
        new = (mask > 0) & (self.land.cover != cover)
        self.land.cover[new] = cover
        self.land.tone[new] = self.rng.uniform(-1, 1)

    def paint_box(self, box: tuple, cover: int) -> None:
        """`paint` on a turned rectangle."""
        mask = np.zeros(self.size, np.uint8)
        fill_box(mask, box)
        self.paint(mask, cover)

    def count(self, side: float, least: int = 0) -> int:
        """How many things that take up `side` x `side` pixels fit, drawn at random."""
        return max(int(self.rng.poisson(self.size[0] * self.size[1] / side**2)), least)


def make_scene(
    seed: int | Sequence[int], size: tuple[int, int] = (128, 128), event: str = 'growth'
) -> ScenePair:
    """The pair of scenes that `seed` means; the same for the same arguments.

    Args:
        seed: one number, or several, such as (of the data set, of the scene).
        size: height and width, at least 32 each.
        event: 'growth' changes land and buildings, 'disaster' damages the buildings.

    Raises:
        ValueError: an unknown event, or a scene too small for a building.

    >>> pair = make_scene(0, (64, 96))
    >>> pair.pre.shape, pair.change.shape
    ((64, 96, 3), (64, 96))
    """
    if event not in EVENTS:
        raise ValueError(f'event={event!r} is not known; known: {", ".join(EVENTS)}.')
    if min(size) < 32:
        raise ValueError(f'size={tuple(size)} is too small; a scene has at least 32 pixels a side.')
    rng = np.random.default_rng(seed)
    plan = _settle(rng, tuple(size))
    before = plan.land.copy()
    if event == 'growth':
        _grow(plan)
    else:
        _strike(plan)
    after = plan.land
    views = _views(rng)
    pre, post = (render(land, view, rng) for land, view in zip((before, after), views))
    covers = before.with_buildings(), after.with_buildings()
    change = covers[0] != covers[1]
    return ScenePair(
        pre=pre,
        post=post,
        change=change.astype(np.uint8),
        pre_cover=np.where(change, covers[0], 0).astype(np.uint8),
        post_cover=np.where(change, covers[1], 0).astype(np.uint8),
        building=(covers[0] == BUILDING).astype(np.uint8),
        damage=after.grades() * (covers[0] == BUILDING),
    )


def _settle(rng: np.random.Generator, size: tuple[int, int]) -> _Plan:
    """The first date: fields, forest, water, roads, playgrounds, buildings."""
    fields = _fields(rng, size)
    ids = np.arange(fields.max() + 1)
    kinds = rng.choice([LOW_VEGETATION, GROUND], len(ids), p=[0.72, 0.28]).astype(np.uint8)
    land = Land(
        cover=kinds[fields],
        tone=rng.uniform(-1, 1, len(ids)).astype(np.float32)[fields],
        angle=rng.uniform(0, np.pi, len(ids)).astype(np.float32)[fields],
        texture=noise(rng, size, 3),
        foliage=int(rng.integers(2)),
    )
    plan = _Plan(rng, land)
    woods = noise(rng, size, 36)
    plan.paint(woods > np.quantile(woods, rng.uniform(0.72, 0.92)), TREE)
    if rng.random() < 0.45:
        depths = noise(rng, size, 44)
        plan.paint(depths > np.quantile(depths, rng.uniform(0.88, 0.96)), WATER)
    for _ in range(plan.count(110, least=1)):
        _road(plan)
    for _ in range(plan.count(130)):
        plan.paint_box(_free_box(plan, (22, 34)), PLAYGROUND)
    plan.taken |= np.isin(land.cover, (WATER, PLAYGROUND)).astype(np.uint8)
    for _ in range(plan.count(_LOT, least=2)):
        _build(plan)
    return plan


def _fields(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Number of the field at each pixel: the cells of random points."""
    empty = np.ones(size, np.uint8)
    rows, columns = (np.arange(0, side, _FIELD) for side in size)
    for i in rows:
        for j in columns:
            y, x = (int(start + rng.integers(_FIELD)) for start in (i, j))
            empty[min(y, size[0] - 1), min(x, size[1] - 1)] = 0
    _, labels = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    return labels


def _road(plan: _Plan) -> None:
    """A straight or bent road from one side to another."""
    height, width = plan.size
    rng = plan.rng
    middle = rng.uniform(0.2, 0.8, 2) * (width, height)
    if rng.random() < 0.5:
        ends = (0, rng.uniform(0, height)), (width, rng.uniform(0, height))
    else:
        ends = (rng.uniform(0, width), 0), (rng.uniform(0, width), height)
    line = np.array([ends[0], middle, ends[1]], np.int32)
    mask = np.zeros(plan.size, np.uint8)
    wide = int(rng.integers(4, 8))
    cv2.polylines(mask, [line], isClosed=False, color=1, thickness=wide)
    plan.land.cover[mask > 0] = GROUND
    plan.land.tone[mask > 0] = rng.uniform(1.6, 2.0)  # asphalt: greyer than any soil
    cv2.polylines(plan.taken, [line], isClosed=False, color=1, thickness=wide + 4)


def _free_box(plan: _Plan, sides: tuple[int, int]) -> tuple:
    """A turned rectangle somewhere: ((x, y), (width, height), degrees)."""
    height, width = plan.size
    rng = plan.rng
    centre = float(rng.uniform(8, width - 8)), float(rng.uniform(8, height - 8))
    extent = tuple(float(side) for side in rng.uniform(*sides, 2))
    return centre, extent, float(rng.uniform(0, 90))


def _build(plan: _Plan, tries: int = 12) -> bool:
    """Put up a building where there is room; whether there was."""
    for _ in range(tries):
        box = _free_box(plan, (14, 30))
        (x, y), (w, h), angle = box
        window, wide = box_window(plan.size, ((x, y), (w + 6, h + 6), angle))
        around = np.zeros(plan.taken[window].shape, np.uint8)
        fill_box(around, wide)
        if (plan.taken[window] & around).any():
            continue
        fill_box(plan.taken, box)
        height, roof = float(plan.rng.uniform(3, 7)), int(plan.rng.integers(5))
        building = Building(box, height, roof, float(plan.rng.uniform(-0.1, 0.1)))
        plan.land.buildings.append(building)
        return True
    return False


def _grow(plan: _Plan) -> None:
    """Between the dates: pulled down, built, other land use."""
    rng, land = plan.rng, plan.land
    kept = []
    for building in land.buildings:
        if rng.random() < 0.3:
            cover = rng.choice([GROUND, LOW_VEGETATION], p=[0.6, 0.4])
            plan.paint_box(building.box, int(cover))
        else:
            kept.append(building)
    land.buildings[:] = kept
    built = land.with_buildings() == BUILDING
    for _ in range(plan.count(64, least=1)):
        _convert(plan, built)
    plan.taken |= np.isin(land.cover, (WATER, PLAYGROUND)).astype(np.uint8)
    for _ in range(plan.count(64, least=1)):
        _build(plan)


def _convert(plan: _Plan, built: np.ndarray) -> None:
    """A round or square patch of land gets another cover, but for what is `built` on it."""
    rng = plan.rng
    box = _free_box(plan, (24, 48))
    mask = np.zeros(plan.size, np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, box, 1, thickness=-1)
    else:
        fill_box(mask, box)
    mask[built] = 0
    under = np.bincount(plan.land.cover[mask > 0], minlength=len(COVERS)).argmax()
    others = [c for c in (LOW_VEGETATION, GROUND, TREE, WATER, PLAYGROUND) if c != under]
    plan.paint(mask, int(rng.choice(others)))


def _strike(plan: _Plan) -> None:
    """Between the dates: each building gets a grade of damage."""
    grades = plan.rng.choice(np.arange(1, 5), len(plan.land.buildings), p=_SHARES)
    plan.land.buildings[:] = [
        replace(building, grade=int(grade))
        for building, grade in zip(plan.land.buildings, grades, strict=True)
    ]


def _views(rng: np.random.Generator) -> tuple[View, View]:
    """How each date looks: the first one is where the labels lie."""
    views = []
    for shift in (0.0, 0.6):
        azimuth = rng.uniform(0, 2 * np.pi)
        views.append(
            View(
                season=float(rng.uniform(0, 1)),
                sun=(float(np.cos(azimuth)), float(np.sin(azimuth))),
                gain=float(rng.uniform(0.8, 1.15)),
                cast=tuple(rng.uniform(0.94, 1.06, 3).tolist()),
                haze=float(rng.uniform(0, 0.25)),
                blur=float(rng.uniform(0.35, 0.7)),
                shift=tuple(rng.uniform(-shift, shift, 2).tolist()),
                grain=float(rng.uniform(1, 5)),
            )
        )
    return tuple(views)
