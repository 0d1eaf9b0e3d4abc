"""Randomness as a function of seed and place in the stream: a resumed run repeats an unbroken one.

mmengine's resume restores weights, optimizer, schedule and the order of the samples, but the state
of no random generator: augmentation and dropout go on with other numbers. Saving each generator of
every worker and rank would need them all to stop at the same moment. Here nothing is saved: each
sample is augmented under a seed made of the run's seed and its position in the global stream of
samples, each training step runs under one made of seed, rank and iteration (`StepSeedHook`). Hence
neither the number of workers, nor a kill, nor a validation in between changes what comes next, and
two processes see the very samples that one would. Transforms with a private generator are not
reached; bitwise equality on a GPU also wants `randomness=dict(deterministic=True)`.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS as ROOT_SAMPLERS
from mmengine.registry import DATASETS as ROOT_DATASETS
from torch.utils.data import Sampler

from mamba_dense.registry import DATA_SAMPLERS, DATASETS

_PATH_KEYS = ('img_path', 'seg_map_path')


def apply_seed(*entropy: int) -> None:
    """Seed python, numpy and torch (all devices) from the integers in `entropy`, well mixed."""
    words = np.random.SeedSequence(entropy).generate_state(8)
    random.seed(words[:4].tobytes())
    np.random.seed(words[:4])
    torch.manual_seed(int(words[4]) << 31 ^ int(words[5]))


@contextmanager
def seeded(*entropy: int) -> Iterator[None]:
    """Run a block under `apply_seed(*entropy)`, then give the CPU generators their state back."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    apply_seed(*entropy)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class StreamIndex(int):
    """A dataset index that carries its position in the global stream of samples."""

    position: int

    def __new__(cls, index: int, position: int) -> 'StreamIndex':
        """`index` with `position` attached."""
        self = super().__new__(cls, index)
        self.position = position
        return self

    def __reduce__(self):
        return StreamIndex, (int(self), self.position)


@DATA_SAMPLERS.register_module()
class StreamSampler(Sampler):
    """Yields what `sampler` yields, each index with its position in the stream over all processes.

    Args:
        dataset: the dataset to draw from.
        sampler: config of the sampler to follow, e.g. `dict(type='InfiniteSampler')`.
        seed: handed to that sampler unless its config has its own.
    """

    def __init__(self, dataset, sampler: dict, seed: int | None = None):
        defaults = {'dataset': dataset, 'seed': seed}
        self.sampler = ROOT_SAMPLERS.build(sampler, default_args=defaults)
        self.dataset = dataset
        self.rank, self.world_size = get_dist_info()
        self._start = 0
        self._epoch = 0

    def __iter__(self) -> Iterator[StreamIndex]:
        start = self._start + self._epoch * len(self.sampler)
        for count, index in enumerate(self.sampler, start):
            yield StreamIndex(index, count * self.world_size + self.rank)

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Tell the followed sampler and the positions which epoch begins."""
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)
        self._epoch = epoch

    @property
    def skip(self):
        """Fast-forward by so many samples of this rank; there only if the followed sampler can."""
        inner = self.sampler.skip

        def skip(num_samples: int) -> None:
            inner(num_samples)
            self._start = num_samples

        return skip


@DATASETS.register_module()
class StreamDataset:
    """A dataset augmented under (seed, position), whose failures name the file.

    Args:
        dataset: config of the dataset, or the dataset itself.
        seed: the seed of the run.
    """

    def __init__(self, dataset, seed: int):
        self.dataset = ROOT_DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.seed = seed

    def __getattr__(self, name: str):
        if name == 'dataset':  # not there yet while being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int):
        try:
            if not isinstance(index, StreamIndex):
                return self.dataset[index]
            with seeded(self.seed, index.position):
                return self.dataset[index]
        except Exception as error:
            raise RuntimeError(self._describe(int(index), error)) from error

    def _describe(self, index: int, error: Exception) -> str:
        try:
            info = self.dataset.get_data_info(index)
        except Exception:  # noqa: BLE001  the first error is the one to report, whatever this one is
            info = {}
        files = [f'{key}={info[key]!r}{_state(info[key])}' for key in _PATH_KEYS if key in info]
        return (
            f'sample {index} ({", ".join(files) or "no file known"}) cannot be used: '
            f'{type(error).__name__}: {error}. Is it a whole image that the pipeline can read? '
            'tools/prepare_data.py check CONFIG looks through all of them.'
        )


def _state(file: str) -> str:
    path = Path(file)
    if not path.exists():
        return ' (does not exist)'
    return ' (an empty file)' if path.stat().st_size == 0 else ''
