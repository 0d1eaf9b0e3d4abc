"""How much memory a training step takes, found without taking it.

The step runs on the meta device, where tensors have shapes and no values; every tensor that it
makes, kept for the way back or not, is followed from its making to its end. What is not seen are
the workspaces of convolutions, what an allocator leaves unused and what a process loads: `OVERHEAD`
and `FIXED` stand for them. The growth of a process on a CPU over two steps with Adam, single
precision, batch 2, one channel, three classes, networks of 8 channels, in GB:

    network, patch          tensors  estimate  measured
    LightM-UNet 48^3          0.733     1.200     0.851
    xLSTM-UNet Bot 64^3       0.558     0.937     0.929
    xLSTM-UNet Bot 96^3       1.846     2.869     2.345
    xLSTM-UNet Enc 48^3       0.278     0.517     0.491
    MONAI DynUNet 64^3        0.306     0.559     0.491
    MONAI DynUNet 96^3        1.002     1.603     1.341
"""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mamba_dense.registry import MODELS

OVERHEAD = 1.5
FIXED = 100_000_000
_COPIES = 3  # of the weights beside themselves, in a step: their gradients, Adam's two moments


class LiveBytes(TorchDispatchMode):
    """Follows the bytes of all tensors that are made while it is active.

    Attributes:
        live: bytes of tensors that are still there.
        peak: the most there ever were.
    """

    def __init__(self):
        super().__init__()
        self.live = 0
        self.peak = 0
        self._known: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in tree_leaves(results):
            if isinstance(result, torch.Tensor):
                self._add(result.untyped_storage())
        return results

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.live -= size


def step_bytes(model: Mapping[str, Any], *, channels: int, patch: Sequence[int], batch: int) -> int:
    """Bytes that a training step of a `VolumeSegmentor` with Adam takes in float32, at its peak.

    Args:
        model: config of the segmentor.
        channels: of the images.
        patch: sides, two or three.
        batch: patches of a batch.
    """
    with torch.device('meta'):
        network = MODELS.build(dict(model))
        sides = (*(1,) * (3 - len(patch)), *patch)
        image = torch.zeros(batch, channels, *sides)
        label = torch.zeros(batch, 1, *sides, dtype=torch.uint8)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    with LiveBytes() as bytes_:
        losses = network(image, label, mode='loss')
        sum(losses.values()).backward()
    given = image.nbytes + label.nbytes
    return int(FIXED + OVERHEAD * (bytes_.peak + given + _COPIES * weights))
