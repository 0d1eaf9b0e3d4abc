"""Training: hooks, parameter groups, streams of samples, processes; registered on import."""

from mamba_dense.engine.amp import BFloat16OptimWrapper
from mamba_dense.engine.distributed import ProcessSyncBN
from mamba_dense.engine.freeze import FreezeUntilHook
from mamba_dense.engine.hooks import MeanLossHook, StepSeedHook, WholeCheckpointHook
from mamba_dense.engine.param_groups import NoDecayConstructor
from mamba_dense.engine.streams import StreamDataset, StreamSampler
from mamba_dense.engine.warmup import WarmupDecayHook

__all__ = [
    'BFloat16OptimWrapper',
    'FreezeUntilHook',
    'MeanLossHook',
    'NoDecayConstructor',
    'ProcessSyncBN',
    'StepSeedHook',
    'StreamDataset',
    'StreamSampler',
    'WarmupDecayHook',
    'WholeCheckpointHook',
]
