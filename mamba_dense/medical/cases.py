"""Cases in nnU-Net's raw layout as data sets: patches to train on, whole volumes to score."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose

from mamba_dense.medical.layout import Case, read_layout
from mamba_dense.medical.patches import draw_corner, patch_at, places
from mamba_dense.medical.preparation import Geometry, Preparation
from mamba_dense.medical.volume import Volume, read_image, read_labels
from mamba_dense.registry import DATASETS, TRANSFORMS
from mamba_dense.weights.save import atomic_write

_KEY_LENGTH = 16
_SEEDS = 2**31


@dataclass(frozen=True)
class Truth:
    """What a prediction is compared with, in the file's own geometry.

    Attributes:
        labels: (X, Y, Z) uint8.
        spacing: mm along X, Y and Z.
        preparation, geometry: the way from the network's voxels back to the file's.
    """

    labels: np.ndarray
    spacing: tuple[float, float, float]
    preparation: Preparation
    geometry: Geometry


@dataclass(frozen=True)
class PreparedCase:
    """A case as the network sees it.

    Attributes:
        image: (C, *S) float32.
        label: (1, *S) uint8.
        places: for each class of the foreground that is there, voxels (n, 3) of it.
    """

    image: np.ndarray
    label: np.ndarray
    places: tuple[np.ndarray, ...]


@DATASETS.register_module()
class CaseDataset:
    """Cases of a folder in nnU-Net's raw layout (`layout.read_layout`).

    With a `patch_size` it gives patches to train on: `image` (C, *S) float32 and `label` (1, *S),
    as the pipeline leaves them, and `case`, the name. Without, whole prepared cases: `image`,
    `case` and `truth` (None where there is no mask).

    The transforms of the pipeline take and give dicts of `image`, `label` and `case`: MONAI's, as
    `dict(type='monai.transforms.RandFlipd', keys=['image', 'label'], ...)`, or any others. The
    generators of MONAI's random ones are seeded from numpy's for every sample, so that
    `StreamDataset` makes a resumed run repeat an unbroken one.

    Args:
        data_root: the folder with dataset.json.
        split: 'train', 'val', 'all' or 'test'.
        fold: of `train` and `val`, see `Layout.split`.
        preparation: fields of `Preparation`.
        patch_size: sides of a patch; two sides (H, W) give (C, 1, H, W), planes of the last two
            axes. None gives whole cases.
        foreground: share of the patches around a voxel of the foreground, see `draw_corner`.
        pipeline: configs of transforms of a patch.
        samples: patches of one epoch, each case as often as the others; None is one of each case.
        cache: folder to keep prepared cases in, which workers then share (patches alone); None
            keeps them in the memory of each worker. A changed file or preparation makes a new
            entry.
        metainfo: `classes` in place of dataset.json's, and whatever else is wanted there.

    Raises:
        DataError: the folder cannot be read; lists every problem.
        ValueError: no such split or fold, a split without a case, or an option of patches without
            a `patch_size`.
    """

    def __init__(
        self,
        data_root: str | Path,
        *,
        split: str = 'train',
        fold: int = 0,
        preparation: Mapping[str, Any] | None = None,
        patch_size: Sequence[int] | None = None,
        foreground: float = 0.33,
        pipeline: Sequence[Mapping[str, Any]] = (),
        samples: int | None = None,
        cache: str | Path | None = None,
        metainfo: Mapping[str, Any] | None = None,
    ):
        layout = read_layout(data_root)
        self.metainfo = {'classes': layout.classes, **(metainfo or {})}
        self.cases = layout.split(split, fold)
        if not self.cases:
            raise ValueError(
                f'{data_root}: split={split!r} has no case; imagesTs is the split "test", '
                'imagesTr the others.'
            )
        self.patch_size = _patch_size(patch_size, pipeline, samples)
        self.preparation = Preparation(**(preparation or {}))
        self.foreground = foreground
        self.samples = samples or len(self.cases)
        self.cache = None if cache is None else Path(cache)
        self.pipeline = Compose([TRANSFORMS.build(transform) for transform in pipeline])
        self._memory: dict[int, PreparedCase] = {}

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        """A patch, or a whole case; see the class.

        Raises:
            ValueError: the pipeline makes more than one patch of a sample.
        """
        index = int(index) % len(self.cases)
        return self._whole(index) if self.patch_size is None else self._patch(index)

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Name and files of the case behind a sample."""
        case = self.cases[int(index) % len(self.cases)]
        return {
            'case': case.name,
            'img_path': str(case.images[0]),
            **({'seg_map_path': str(case.labels)} if case.labels else {}),
        }

    def _patch(self, index: int) -> dict[str, Any]:
        prepared = self.prepared(index)
        name, size = self.cases[index].name, self.patch_size
        corner = draw_corner(
            prepared.label.shape[1:], size, prepared.places, foreground=self.foreground
        )
        image, label = (patch_at(v, corner, size) for v in (prepared.image, prepared.label))
        # MONAI's transforms draw from generators of their own
        self.pipeline.set_random_state(int(np.random.randint(_SEEDS)))
        found = self.pipeline({'image': image, 'label': label, 'case': name})
        if isinstance(found, list):
            raise ValueError(
                f'the pipeline makes {len(found)} patches of one sample; leave such transforms '
                'out: samples= of the data set says how many patches an epoch has.'
            )
        return {
            'image': _plain(found['image']).float(),
            'label': _plain(found['label']),
            'case': name,
        }

    def _whole(self, index: int) -> dict[str, Any]:
        case = self.cases[index]
        volume = read_image(case.images)
        prepared = self.preparation.prepare(volume)
        truth = None
        if case.labels is not None:
            labels = self._read_labels(case, volume)
            truth = Truth(labels, volume.spacing, self.preparation, prepared.geometry)
        return {'image': torch.from_numpy(prepared.data), 'case': case.name, 'truth': truth}

    def prepared(self, index: int) -> PreparedCase:
        """The case of that number as the network sees it, from memory or cache where it is."""
        if index in self._memory:
            return self._memory[index]
        if self.cache is None:
            self._memory[index] = self._prepare(self.cases[index])
            return self._memory[index]
        folder = self.cache / f'{self.cases[index].name}-{self._key(self.cases[index])}'
        if not (folder / 'places.npz').is_file():  # written last
            _write(folder, self._prepare(self.cases[index]))
        self._memory[index] = _open(folder)
        return self._memory[index]

    def _prepare(self, case: Case) -> PreparedCase:
        volume = read_image(case.images)
        prepared = self.preparation.prepare(volume)
        label = self.preparation.labels(self._read_labels(case, volume), prepared.geometry)
        return PreparedCase(prepared.data, label[None], places(label))

    def _read_labels(self, case: Case, volume: Volume) -> np.ndarray:
        classes = len(self.metainfo['classes'])
        return read_labels(case.labels, like=volume, num_classes=classes)

    def _key(self, case: Case) -> str:
        stats = [file.stat() for file in (*case.images, case.labels)]
        about = (repr(self.preparation), [(stat.st_size, stat.st_mtime_ns) for stat in stats])
        return hashlib.sha256(repr(about).encode()).hexdigest()[:_KEY_LENGTH]


def _patch_size(
    size: Sequence[int] | None, pipeline: Sequence[Mapping[str, Any]], samples: int | None
) -> tuple[int, ...] | None:
    """Three sides, or None; refuses what cannot be."""
    if size is None:
        if pipeline or samples is not None:
            raise ValueError(
                'pipeline and samples are of patches: set patch_size, too, or leave them out for '
                'whole cases.'
            )
        return None
    if len(size) not in (2, 3) or min(size) < 1:
        raise ValueError(
            f'patch_size={tuple(size)} must be two sides (slices) or three (volumes), each at '
            'least 1.'
        )
    if samples is not None and samples < 1:
        raise ValueError(f'samples={samples} patches an epoch must be 1 or more, or None.')
    return (1,) * (3 - len(size)) + tuple(size)


def _write(folder: Path, case: PreparedCase) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    numbered = {str(i): voxels for i, voxels in enumerate(case.places)}
    for name, save in (
        ('image.npy', lambda file: np.save(file, case.image)),
        ('label.npy', lambda file: np.save(file, case.label)),
        ('places.npz', lambda file: np.savez(file, **numbered)),
    ):
        atomic_write(folder / name, lambda part, save=save: _save(part, save))


def _save(part: Path, save) -> None:
    with part.open('wb') as file:
        save(file)


def _open(folder: Path) -> PreparedCase:
    image, label = (np.load(folder / f'{name}.npy', mmap_mode='r') for name in ('image', 'label'))
    with np.load(folder / 'places.npz') as found:
        return PreparedCase(image, label, tuple(found[str(i)] for i in range(len(found.files))))


def _plain(values: Any) -> torch.Tensor:
    """A plain contiguous tensor of a MONAI tensor or an array."""
    values = values.as_tensor() if hasattr(values, 'as_tensor') else torch.as_tensor(values)
    return values.contiguous()
