"""How fast networks are on this device: interleaved rounds, medians."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import nn

from .inferencer import init_model, input_channels
from .models import find_model


@dataclass(frozen=True)
class Speed:
    """Seconds of one pass over a batch: median, fastest and slowest round."""

    name: str
    median: float
    fastest: float
    slowest: float


def compare(
    configs: Sequence[Any],
    size: tuple[int, int],
    *,
    batch: int = 1,
    rounds: int = 10,
    training: bool = False,
    device: str | None = None,
    on_round: Callable[[], None] | None = None,
) -> list[Speed]:
    """Time networks against each other; every round times each of them once, in turn.

    Args:
        configs: as in `init_model`, any number; weights are random.
        size: (height, width) of the pictures.
        batch: pictures of one pass.
        rounds: timed rounds, after two that are not.
        training: time forward and backward in training mode instead of a forward pass.
        device: default: the GPU if there is one.
        on_round: called after each timed round.

    Raises:
        ValueError: a number is below one.
    """
    if min(*size, batch, rounds) < 1:
        raise ValueError(f'size={size}, batch={batch} and rounds={rounds} must be at least 1.')
    passes = [_pass(config, size, batch, training, device) for config in configs]
    seconds = interleave(passes, rounds, on_round=on_round)
    return [
        Speed(str(config), median(times), min(times), max(times))
        for config, times in zip(configs, seconds, strict=True)
    ]


def interleave(
    passes: Sequence[Callable[[], None]],
    rounds: int,
    *,
    warm_up: int = 2,
    on_round: Callable[[], None] | None = None,
) -> list[list[float]]:
    """Seconds of each pass in each round; a round runs every pass once, in turn.

    The rounds before the first `warm_up` are over are not timed. What else the machine does in a
    round falls on all passes of it, so their ratios within one round say more than their times.
    """
    seconds: list[list[float]] = [[] for _ in passes]
    for number in range(rounds + warm_up):
        for step, times in zip(passes, seconds, strict=True):
            start = time.perf_counter()
            step()
            if number >= warm_up:
                times.append(time.perf_counter() - start)
        if number >= warm_up and on_round is not None:
            on_round()
    return seconds


def _pass(
    config: Any, size: tuple[int, int], batch: int, training: bool, device: str | None
) -> Callable[[], None]:
    # a zoo name would fetch weights, which speed does not depend on
    model = init_model(find_model(config).cfg, device=device).train(training)
    x = torch.randn(batch, input_channels(model), *size, device=next(model.parameters()).device)
    return _backward(model, x) if training else forward_pass(model, x)


def forward_pass(model: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """A call that runs the model on x without gradients, and waits for the device."""

    def run() -> None:
        with torch.inference_mode():
            model(x)
        _wait(x.device)

    return run


def _backward(model: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    def run() -> None:
        out = model(x)
        parts = out if isinstance(out, list | tuple) else (out,)
        sum(part.float().mean() for part in parts).backward()
        model.zero_grad(set_to_none=True)
        _wait(x.device)

    return run


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
