"""Where data sets of pairs keep their files, and what their labels' values and colours mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mamba_dense.change.scene_view import COVERS
from mamba_dense.change.scenes import GRADES
from mamba_dense.engine.files import IMAGE_SUFFIXES

Colour = tuple[int, int, int]

# what each task has to tell apart, and its colours as the data sets' authors draw them
COVER_PALETTE: tuple[Colour, ...] = (
    (255, 255, 255),
    (0, 128, 0),
    (128, 128, 128),
    (0, 255, 0),
    (0, 0, 255),
    (128, 0, 0),
    (255, 0, 0),
)
DAMAGE_PALETTE: tuple[Colour, ...] = (
    (0, 0, 0),
    (70, 181, 121),
    (167, 187, 27),
    (228, 189, 139),
    (181, 70, 70),
)
TASKS: dict[str, dict[str, tuple[str, ...]]] = {
    'bcd': {'change': ('unchanged', 'changed')},
    'scd': {'change': ('unchanged', 'changed'), 'pre': COVERS, 'post': COVERS},
    'bda': {'building': ('background', 'building'), 'damage': GRADES},
}
BINARY = {0: 0, 1: 1, 255: 1}
# SECOND's own colours; ChangeMamba's authors draw what did not change in black
COVER_COLOURS = {(0, 0, 0): 0, **{colour: n for n, colour in enumerate(COVER_PALETTE)}}
CHANGE_COLOURS = {colour: int(number > 0) for colour, number in COVER_COLOURS.items()}


def plain(classes: int) -> dict[int, int]:
    """The encoding of class numbers as they are, 255 for what counts nowhere."""
    return {**{value: value for value in range(classes)}, 255: 255}


# xBD before the disaster: a grade is a building; 255 marks one whose grade nobody could tell
LOCATION = {**BINARY, 2: 1, 3: 1, 4: 1}


@dataclass(frozen=True)
class Layout:
    """Where a data set keeps its files, and how its labels are encoded.

    pre, post: of the images below `data_root`, with `{name}` in the place of a sample's name, or
        `{id}` and `{tile}` for names `ID_ROW_COLUMN` of pre-cut tiles; a pattern without a suffix
        takes any kind of image.
    labels: the same for every label, by its name.
    encodings: stored value, or colour (red, green, blue), -> class number, by label.
    """

    pre: str
    post: str
    labels: Mapping[str, str]
    encodings: Mapping[str, Mapping[int | Colour, int]]

    @property
    def patterns(self) -> tuple[str, ...]:
        """Every pattern once: of the first date, the second one, the labels."""
        return tuple(dict.fromkeys((self.pre, self.post, *self.labels.values())))


_AB = Layout('A/{name}', 'B/{name}', {'change': 'label/{name}'}, {'change': BINARY})
_SECOND = ('im1/{name}', 'im2/{name}')


def _xbd(labels: str, ends: str) -> Layout:
    """xBD with its labels at `labels`/NAME_{pre,post}_disaster`ends`."""
    return Layout(
        'images/{name}_pre_disaster.png',
        'images/{name}_post_disaster.png',
        {
            'building': f'{labels}/{{name}}_pre_disaster{ends}',
            'damage': f'{labels}/{{name}}_post_disaster{ends}',
        },
        {'building': LOCATION if ends == '.json' else BINARY, 'damage': plain(5)},
    )


LAYOUTS: dict[str, dict[str, Layout]] = {
    'folder': {
        'bcd': _AB,
        'scd': Layout(
            'A/{name}',
            'B/{name}',
            {'change': 'label/{name}', 'pre': 'label_A/{name}', 'post': 'label_B/{name}'},
            {'change': BINARY, 'pre': plain(7), 'post': plain(7)},
        ),
        'bda': Layout(
            'A/{name}',
            'B/{name}',
            {'building': 'label_A/{name}', 'damage': 'label_B/{name}'},
            {'building': BINARY, 'damage': plain(5)},
        ),
    },
    # as ChangeMamba's authors keep SYSU-CD, LEVIR-CD+, WHU-CD and SECOND
    'changemamba': {
        'bcd': Layout('T1/{name}', 'T2/{name}', {'change': 'GT/{name}'}, {'change': BINARY}),
        'scd': Layout(
            'T1/{name}',
            'T2/{name}',
            {'change': 'GT_CD/{name}', 'pre': 'GT_T1/{name}', 'post': 'GT_T2/{name}'},
            {'change': BINARY, 'pre': plain(7), 'post': plain(7)},
        ),
    },
    # as they are published, below train/, val/ or test/
    'sysu-cd': {
        'bcd': Layout(
            'time1/{name}', 'time2/{name}', {'change': 'label/{name}'}, {'change': BINARY}
        ),
    },
    'levir-cd': {'bcd': _AB},
    'levir-cd-plus': {'bcd': _AB},
    'whu-cd': {'bcd': _AB},
    'second': {
        'bcd': Layout(*_SECOND, {'change': 'label1/{name}'}, {'change': CHANGE_COLOURS}),
        'scd': Layout(
            *_SECOND,
            {'change': 'label1/{name}', 'pre': 'label1/{name}', 'post': 'label2/{name}'},
            {'change': CHANGE_COLOURS, 'pre': COVER_COLOURS, 'post': COVER_COLOURS},
        ),
    },
    'xbd': {'bda': _xbd('masks', '.png')},
    'xbd-targets': {'bda': _xbd('targets', '_target.png')},
    'xbd-json': {'bda': _xbd('labels', '.json')},
    'xbd-tiles': {
        'bda': Layout(
            'images/{id}_pre_disaster_{tile}.png',
            'images/{id}_post_disaster_{tile}.png',
            {
                'building': 'masks/{id}_pre_disaster_{tile}.png',
                'damage': 'masks/{id}_post_disaster_{tile}.png',
            },
            {'building': BINARY, 'damage': plain(5)},
        ),
    },
}


def known_task(task: str) -> str:
    """`task`.

    Raises:
        ValueError: it is not one of `TASKS`.
    """
    if task not in TASKS:
        raise ValueError(f'task={task!r} is not known; known: {", ".join(TASKS)}.')
    return task


def find_layout(layout: str, task: str) -> Layout:
    """The layout of that name for that task.

    Raises:
        ValueError: an unknown task or layout, or a layout that does not have the task.
    """
    found = LAYOUTS.get(layout, {}).get(known_task(task))
    if found is None:
        known = ', '.join(f'{name} ({", ".join(tasks)})' for name, tasks in LAYOUTS.items())
        raise ValueError(f'layout={layout!r} for task={task!r} is not known; known: {known}.')
    return found


def sample_file(root: str | Path, pattern: str, name: str) -> Path:
    """The file of sample `name`; without one of any suffix, the path that was looked for."""
    base, *tile = name.rsplit('_', 2)
    path = Path(root) / pattern.format(name=name, id=base, tile='_'.join(tile))
    if path.is_file():
        return path
    others = (path.with_name(path.name + suffix) for suffix in IMAGE_SUFFIXES)
    return next((other for other in others if other.is_file()), path)


def names_in(root: str | Path, pattern: str) -> dict[str, Path]:
    """The files of a pattern's folder by the names of their samples; others are left out."""
    folder, _, file = pattern.rpartition('/')
    wanted = Path(file).suffix
    expression = re.escape(file.removesuffix(wanted))
    for mark, part in (
        ('name', '(?P<name>.+)'),
        ('id', '(?P<id>.+)'),
        ('tile', r'(?P<tile>\d+_\d+)'),
    ):
        expression = expression.replace(re.escape(f'{{{mark}}}'), part)
    suffixes = (wanted,) if wanted else IMAGE_SUFFIXES
    found = {}
    for path in sorted((Path(root) / folder).glob('*')):
        match = re.fullmatch(expression, path.stem)
        if match is None or path.suffix.lower() not in suffixes:
            continue
        parts = match.groupdict()
        found.setdefault(parts.get('name') or f'{parts["id"]}_{parts["tile"]}', path)
    return found
