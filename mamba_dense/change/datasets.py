"""Pairs of dated images: a folder of them, and synthetic scenes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmengine.dataset import BaseDataset, Compose

from mamba_dense.change.data_check import read_names
from mamba_dense.change.layouts import (
    COVER_PALETTE,
    DAMAGE_PALETTE,
    TASKS,
    find_layout,
    known_task,
    names_in,
    sample_file,
)
from mamba_dense.change.scene_view import COVERS
from mamba_dense.change.scenes import GRADES, make_scene
from mamba_dense.change.transforms import stack_dates
from mamba_dense.engine.files import IMAGE_SUFFIXES, DataError
from mamba_dense.registry import DATASETS

_METAINFO: dict[str, dict[str, Any]] = {
    'bcd': {'classes': TASKS['bcd']['change'], 'palette': ((0, 0, 0), (255, 255, 255))},
    'scd': {'classes': COVERS, 'palette': COVER_PALETTE},
    'bda': {'classes': GRADES, 'palette': DAMAGE_PALETTE},
}


@DATASETS.register_module()
class ChangeFolder(BaseDataset):
    """Pairs of images and their labels below one folder.

    Args:
        data_root: the folder, such as `data/mine/train` with `A/ B/ label/` in it.
        layout: a name of `LAYOUTS`.
        task: 'bcd', 'scd' or 'bda': which labels are read.
        names: file with one name a line, a suffix is left off; else every image of the first date.
        pipeline: transforms, `mamba_dense.LoadDates` first.
        test_mode: labels that do not exist are left out.
        indices, lazy_init, max_refetch: as of mmengine's `BaseDataset`.

    Raises:
        ValueError: an unknown layout or task, or a layout that does not have the task.
        DataError: there are no pairs, or files are missing; lists them.
    """

    METAINFO: ClassVar[dict] = {}

    def __init__(
        self,
        data_root: str,
        layout: str = 'folder',
        task: str = 'bcd',
        *,
        names: str | None = None,
        pipeline: Sequence[Any] = (),
        test_mode: bool = False,
        indices: int | Sequence[int] | None = None,
        lazy_init: bool = False,
        max_refetch: int = 1,
        metainfo: Mapping[str, Any] | None = None,
    ):
        self.layout = find_layout(layout, task)
        self.task = task
        self.names = names
        super().__init__(
            data_root=str(data_root),
            metainfo={**_METAINFO[task], **(metainfo or {})},
            pipeline=list(pipeline),
            test_mode=test_mode,
            indices=indices,
            lazy_init=lazy_init,
            max_refetch=max_refetch,
        )
        self._metainfo['task'] = task  # mmengine takes a text for the name of a file

    def load_data_list(self) -> list[dict[str, Any]]:
        """One entry for each name: `name`, `img_path`, `post_path`, `label_paths`, `encodings`."""
        root = Path(self.data_root)
        names = self._names(root)
        if not names:
            raise DataError(f'{root / self.layout.pre}: no images ({", ".join(IMAGE_SUFFIXES)})')
        samples, problems = [], []
        for name in names:
            sample = {'name': name, 'label_paths': {}, 'encodings': self.layout.encodings}
            sample['img_path'] = _find(root, self.layout.pre, name, problems)
            sample['post_path'] = _find(root, self.layout.post, name, problems)
            for label, pattern in self.layout.labels.items():
                lost = [] if self.test_mode else problems
                path = _find(root, pattern, name, lost)
                if path is not None:
                    sample['label_paths'][label] = path
            samples.append(sample)
        if problems:
            raise DataError(problems)
        return samples

    def _names(self, root: Path) -> list[str]:
        if self.names is not None:
            return read_names(self.names)
        return sorted(names_in(root, self.layout.pre))


def _find(root: Path, pattern: str, name: str, problems: list[str]) -> str | None:
    """The file of a sample; one that does not exist goes to `problems`."""
    found = sample_file(root, pattern, name)
    if found.is_file():
        return str(found)
    problems.append(f'{found}: does not exist')
    return None


@DATASETS.register_module()
class ChangeScenes:
    """Synthetic scenes, `(seed, index)` each: the same seed gives the same scenes.

    Args:
        task: 'bcd', 'scd' or 'bda'.
        length: number of scenes.
        size: height and width of each.
        seed: of the whole set; another seed gives other scenes, which share none with these.
        pipeline: transforms; the sample has `img` and the labels already.
        keep: whether scenes once made are kept in memory (0.2 MB each at 128x128).

    Raises:
        ValueError: an unknown task.
    """

    def __init__(
        self,
        task: str,
        length: int,
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        *,
        pipeline: Sequence[Any] = (),
        keep: bool = True,
    ):
        self.task = known_task(task)
        self.length = length
        self.size = tuple(size)
        self.seed = seed
        self.metainfo = {**_METAINFO[task], 'task': task}
        self.pipeline = Compose(list(pipeline))
        self._kept: dict[int, dict[str, Any]] | None = {} if keep else None

    def __len__(self) -> int:
        return self.length

    def get_data_info(self, index: int) -> dict[str, Any]:
        """The sample before its pipeline; `name` is its seeds."""
        if not 0 <= index < self.length:
            raise IndexError(f'index={index} of {self.length} scenes')
        sample = None if self._kept is None else self._kept.get(index)
        if sample is None:
            sample = self._make(index)
            if self._kept is not None:
                self._kept[index] = sample
        return {**sample, 'seg_fields': list(sample['seg_fields'])}

    def _make(self, index: int) -> dict[str, Any]:
        event = 'disaster' if self.task == 'bda' else 'growth'
        pair = make_scene((self.seed, index), self.size, event)
        labels = {
            'change': pair.change,
            'pre': pair.pre_cover,
            'post': pair.post_cover,
            'building': pair.building,
            'damage': pair.damage,
        }
        wanted = TASKS[self.task]
        return {
            'img': stack_dates(pair.pre, pair.post),
            'name': f'{self.seed}-{index}',
            'ori_shape': self.size,
            'img_shape': self.size,
            'seg_fields': [f'gt_{name}' for name in wanted],
            **{f'gt_{name}': labels[name] for name in wanted},
        }

    def __getitem__(self, index: int) -> Any:
        return self.pipeline(self.get_data_info(int(index)))
