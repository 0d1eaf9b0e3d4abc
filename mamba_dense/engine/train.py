"""One training run: a config made reproducible and fit for its processes, then run."""

import gc
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mamba_dense.engine import amp as mixed
from mamba_dense.engine import distributed
from mamba_dense.engine.checkpoints import is_whole, last_whole_checkpoint
from mamba_dense.weights.read import read_notes

AUTO = 'auto'


def settle(
    cfg: Config, *, launcher: str = 'none', resume: str | None = None, amp: bool = False
) -> list[str]:
    """Make `cfg` ready for `run`, in place; what was changed, in sentences for the log.

    Args:
        cfg: any mm* config that has a `work_dir`.
        launcher: one of `distributed.LAUNCHERS`.
        resume: None starts anew, 'auto' goes on from the last whole checkpoint in `cfg.work_dir` if
            there is one, else the path of a checkpoint.
        amp: mixed precision.
    """
    distributed.start(launcher, cfg.get('env_cfg', {}).get('dist_cfg', {}))
    cfg.launcher = launcher
    notices = distributed.settle(cfg)
    if amp:
        notices.append(mixed.use_amp(cfg))
    seed = None
    if resume is not None:
        notices.append(settle_resume(cfg, resume))
        if cfg.resume:
            seed = checkpoint_seed(cfg.load_from)
            drop_pretrained(cfg)
    settle_seed(cfg, seed)
    use_streams(cfg)
    use_whole_checkpoints(cfg)
    return notices


def run(cfg: Config, notices: Sequence[str] = ()) -> torch.nn.Module:
    """Train what a settled `cfg` describes, after logging `notices`; the bare trained model."""
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    for notice in notices:
        runner.logger.info(notice)
    model = runner.train()
    model = getattr(model, 'module', model)
    # what still holds the process group would keep gloo's threads alive beyond it
    del runner
    gc.collect()
    distributed.stop()
    return model


def settle_resume(cfg: Config, resume: str) -> str:
    """Set `cfg.resume` and `cfg.load_from`; where the run goes on, as a sentence for the log.

    Raises:
        FileNotFoundError, ValueError: the checkpoint asked for is not there, or is not whole.
    """
    if resume != AUTO:
        if not Path(resume).is_file():
            raise FileNotFoundError(f'--resume {resume!r}: no such checkpoint')
        if not is_whole(resume):
            raise ValueError(
                f'--resume {resume!r} is not a whole checkpoint (cut off while saving?); '
                '--resume without a path takes the last whole one of the work folder'
            )
        found = Path(resume)
    else:
        found = last_whole_checkpoint(cfg.work_dir)
    cfg.resume = found is not None
    if found is None:
        return f'Nothing to resume in {cfg.work_dir}: training starts anew.'
    cfg.load_from = str(found)
    return f'Resuming from {found}.'


def checkpoint_seed(path: str) -> int | None:
    """The seed of the run that wrote a checkpoint; None where it does not say.

    Raises:
        ValueError: the file is damaged, or would run code.
    """
    return read_notes(Path(path)).get('seed')


def drop_pretrained(cfg: Config) -> None:
    """Do not fetch pretrained weights for a network that a checkpoint fills in full."""
    backbone = cfg.model.get('backbone') or {}
    if (backbone.get('init_cfg') or {}).get('type') == 'Pretrained':
        backbone.init_cfg = None


def settle_seed(cfg: Config, resumed: int | None) -> None:
    """Fix the seed before anything is built: the resumed run's, the config's, or a fresh one."""
    randomness = dict(cfg.get('randomness') or {})
    seed = resumed if resumed is not None else randomness.get('seed')
    if seed is None:
        drawn = [random.SystemRandom().randrange(2**31)]
        broadcast_object_list(drawn)
        seed = drawn[0]
    cfg.randomness = {**randomness, 'seed': seed}


def use_streams(cfg: Config) -> None:
    """Wrap the training data in `StreamSampler` and `StreamDataset`, and seed each step."""
    loader = cfg.train_dataloader
    seed = cfg.randomness.seed
    sampler = loader.get('sampler')
    if sampler is not None and sampler.get('type') != 'mamba_dense.StreamSampler':
        inner = {**sampler, 'seed': sampler.get('seed', seed)}
        loader.sampler = {'type': 'mamba_dense.StreamSampler', 'sampler': inner}
    if loader.dataset.get('type') != 'mamba_dense.StreamDataset':
        loader.dataset = {
            'type': 'mamba_dense.StreamDataset',
            'dataset': loader.dataset,
            'seed': seed,
        }
    hooks = list(cfg.get('custom_hooks') or [])
    present = {hook.get('type') for hook in hooks}
    ours = ('mamba_dense.StepSeedHook', 'mamba_dense.MeanLossHook')
    cfg.custom_hooks = [*hooks, *({'type': kind} for kind in ours if kind not in present)]


def use_whole_checkpoints(cfg: Config) -> None:
    """Let `WholeCheckpointHook` save wherever mmengine's CheckpointHook would."""
    hooks = dict(cfg.get('default_hooks') or {})
    hook = dict(hooks.get('checkpoint') or {'type': 'CheckpointHook', 'interval': 1})
    if hook.get('type') == 'CheckpointHook':
        hook['type'] = 'mamba_dense.WholeCheckpointHook'
    cfg.default_hooks = {**hooks, 'checkpoint': hook}
