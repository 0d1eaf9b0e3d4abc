"""Scores of a change detector on degraded pairs, level by level."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmengine.config import Config
from mmengine.runner import Runner

from mamba_dense.change.degrade import DEGRADATIONS, strength
from mamba_dense.engine.evaluate import loaded_runner
from mamba_dense.registry import TRANSFORMS

CLEAN = 'clean'


@dataclass(frozen=True)
class Row:
    """Scores under one kind of degradation at one level; `CLEAN` is level 0 of every kind.

    Attributes:
        kind: a name of `DEGRADATIONS`, or `CLEAN`.
        level: 0 for `CLEAN`.
        strength: of the level, in `DEGRADATIONS[kind].unit`; None for `CLEAN`.
        scores: by name, as the config's `test_evaluator` gives them.
    """

    kind: str
    level: int
    strength: float | None
    scores: dict[str, float]


def evaluate_degraded(
    cfg: Config,
    checkpoint: str,
    *,
    kinds: Sequence[str] = tuple(DEGRADATIONS),
    levels: Sequence[int] = (1, 2, 3, 4, 5),
    seed: int = 0,
    launcher: str = 'none',
    trusted: bool = False,
) -> list[Row]:
    """The scores of `checkpoint` on the test pairs as they are, then at each level of each kind.

    Args:
        cfg: a config of change detection that has a `work_dir`; edited in place.
        checkpoint: path or URL, loaded strictly.
        kinds: names of `DEGRADATIONS`.
        levels: from 1 (weak) up.
        seed: of the degradations' draws.
        launcher: one of `distributed.LAUNCHERS`.
        trusted: allow a checkpoint that holds more than tensors.

    Raises:
        ValueError: an unknown kind or level, or a test set that is not one of pairs.
    """
    conditions = [(kind, level, strength(kind, level)) for kind in kinds for level in levels]
    if any(level == 0 for _, level, _ in conditions):
        raise ValueError('level 0 is always scored; levels count from 1.')
    loader = cfg.test_dataloader
    if loader.get('persistent_workers'):  # they would keep the pipeline that they began with
        loader.persistent_workers = False
    runner = loaded_runner(cfg, checkpoint, launcher=launcher, trusted=trusted)
    return list(_rows(runner, [(CLEAN, 0, None), *conditions], seed))


def _rows(runner: Runner, conditions: Sequence[tuple], seed: int) -> Iterator[Row]:
    steps = _steps(runner)
    place = next(
        (n for n, step in enumerate(steps) if type(step).__name__ == 'PackChange'), len(steps)
    )
    plain = list(steps)
    for kind, level, strong in conditions:
        steps[:] = plain
        if kind != CLEAN:
            cfg = {'type': 'mamba_dense.Degrade', 'kind': kind, 'level': level, 'seed': seed}
            steps.insert(place, TRANSFORMS.build(cfg))
        runner.logger.info(f'Degradation: {kind}, level {level}.')
        scores = {name: round(float(value), 4) for name, value in runner.test().items()}
        yield Row(kind, level, strong, scores)
    steps[:] = plain


def _steps(runner: Runner) -> list:
    """The pipeline of the test set, a list that its data set reads again for every sample."""
    pipeline = getattr(runner.test_loop.dataloader.dataset, 'pipeline', None)
    if pipeline is None or not hasattr(pipeline, 'transforms'):
        kind = type(runner.test_loop.dataloader.dataset).__name__
        raise ValueError(
            f'test_dataloader.dataset is a {kind}, which has no pipeline of its own; '
            'robustness is scored on one mamba_dense.ChangeFolder or ChangeScenes.'
        )
    return pipeline.transforms
