"""Score a checkpoint on the test data of a config."""

import json
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mamba_dense.engine import distributed
from mamba_dense.engine.train import drop_pretrained, use_whole_checkpoints
from mamba_dense.weights.load import load_model_weights
from mamba_dense.weights.save import atomic_write


def evaluate(
    cfg: Config,
    checkpoint: str,
    *,
    launcher: str = 'none',
    tta: bool = False,
    trusted: bool = False,
    out: Path | None = None,
    then: Callable[[], None] | None = None,
) -> dict[str, float]:
    """The scores of `checkpoint` by the config's `test_evaluator`.

    Args:
        cfg: any mm* config that has a `work_dir`; edited in place.
        checkpoint: path or URL of a file of the authors or of ours; loaded strictly.
        launcher: one of `distributed.LAUNCHERS`.
        tta: test with the config's `tta_model` and `tta_pipeline`.
        trusted: allow a checkpoint that holds more than tensors.
        out: where to write the scores as JSON.
        then: called by the first process when the scores are there.

    Raises:
        ValueError: `tta` without a recipe for it, or a checkpoint of another network.
    """
    runner = loaded_runner(cfg, checkpoint, launcher=launcher, tta=tta, trusted=trusted)
    scores = {name: round(float(value), 4) for name, value in runner.test().items()}
    if is_main_process():
        if out is not None:
            text = json.dumps(scores, indent=2) + '\n'
            atomic_write(out, lambda part: part.write_text(text))
        if then is not None:
            then()
    distributed.stop()
    return scores


def loaded_runner(
    cfg: Config,
    checkpoint: str,
    *,
    launcher: str = 'none',
    tta: bool = False,
    trusted: bool = False,
) -> Runner:
    """A runner whose network holds `checkpoint`, ready to test; arguments as of `evaluate`.

    Raises:
        ValueError: `tta` without a recipe for it, or a checkpoint of another network.
    """
    distributed.start(launcher, cfg.get('env_cfg', {}).get('dist_cfg', {}))
    cfg.launcher = launcher
    notices = distributed.settle(cfg)
    cfg.load_from, cfg.resume = None, False
    use_whole_checkpoints(cfg)
    drop_pretrained(cfg)
    if tta:
        use_tta(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    for notice in notices:
        runner.logger.info(notice)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    report = load_model_weights(model.module if tta else model, checkpoint, trusted=trusted)
    runner.logger.info(
        f'{report.path}: {len(report.loaded)} tensors loaded, '
        f'{len(report.dropped)} dropped by name.'
    )
    return runner


def use_tta(cfg: Config) -> None:
    """Test with multi-scale and flip, as `tta_model` and `tta_pipeline` of `cfg` say."""
    missing = [key for key in ('tta_model', 'tta_pipeline') if cfg.get(key) is None]
    if missing:
        raise ValueError(
            f'--tta needs {", ".join(missing)} in the config; see configs/_base_/datasets/ade20k.py'
        )
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
