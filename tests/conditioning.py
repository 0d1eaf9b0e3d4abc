"""Inputs at which float32 gradients mean something: no activation within rounding of its kink.

What stands behind it, measured on EfficientViM's nano and one image of 128x256 (1.6 million ReLUs):
float32 and float64 put one to three of these values on different sides of zero for four of six
images, and then eager float32 is up to 9 % away from float64 in a parameter's gradient; for the
image where none changes its side it is within 1.1e-4. Two float32 programs, eager and inductor,
differ in the same way, whatever their quality.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
KINKS = {
    aten.relu.default: (0.0,),
    aten.relu_.default: (0.0,),
    aten.hardsigmoid.default: (-3.0, 3.0),
    aten.hardswish.default: (-3.0, 3.0),
    aten.hardswish_.default: (-3.0, 3.0),
}
MARGIN = 4  # in root mean squares of an activation's rounding error
CANDIDATES = 200


class Entries(TorchDispatchMode):
    """Keeps what enters each activation that has a kink."""

    def __init__(self):
        super().__init__()
        self.found: list[tuple[Any, Tensor]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in KINKS:
            self.found.append((func, args[0].detach().clone()))
        return func(*args, **(kwargs or {}))


def entries(model: nn.Module, x: Tensor) -> list[tuple[Any, Tensor]]:
    with torch.no_grad(), Entries() as mode:
        model(x)
    return mode.found


def on_a_kink(single: nn.Module, double: nn.Module, x: Tensor) -> int:
    """How many activations are so near their kink that rounding may decide on their slope."""
    count = 0
    pairs = zip(entries(single, x), entries(double, x.double()), strict=True)
    for (func, rounded), (_, exact) in pairs:
        error = (rounded - exact).square().mean().sqrt()
        count += sum(int(((exact - kink).abs() <= MARGIN * error).sum()) for kink in KINKS[func])
    return count


def smooth_image(model: nn.Module, *shape: int) -> Tensor:
    """The first random image at which no activation of the model, as it is, is on a kink.

    Args:
        model: in float32 and in the mode in which it will run; it is left as it was.
        shape: (B, C, H, W).
    """
    single, double = copy.deepcopy(model), copy.deepcopy(model).double()
    for seed in range(CANDIDATES):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        if not on_a_kink(single, double, x):
            return x
    raise RuntimeError(f'none of {CANDIDATES} images of shape {shape} is off every kink')
