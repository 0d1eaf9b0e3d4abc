"""What a record's target is on our side: a network or part, its key map, and how to run it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..weights import KeyMap
from .record import Record

Outputs = Mapping[str, Tensor]


class UnsupportedError(Exception):
    """The record asks for something that the project does not build; says what."""


@dataclass(frozen=True)
class Subject:
    """A target, built.

    run: from the record's inputs to outputs by the record's names, in the record's layouts.
    module: holds the parameters; None for functions and tables.
    keymap: from the authors' names in the whole network to ours in the whole network.
    """

    run: Callable[[tuple[Tensor, ...]], Outputs]
    module: nn.Module | None = None
    keymap: KeyMap = field(default_factory=KeyMap)


Builder = Callable[[Record], Subject]


@dataclass(frozen=True)
class Tap:
    """Where to listen while a module runs: what one of its parts returns, or is given first."""

    module: nn.Module
    of_input: bool = False


def observe(
    module: nn.Module, inputs: Sequence[Tensor], taps: Mapping[str, Tap]
) -> tuple[Any, dict[str, Tensor]]:
    """Run the module; return its result and what passed at each tap."""
    seen: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, tap in taps.items():
            hook = _hook(seen, name, tap.of_input)
            hooks.callback(tap.module.register_forward_hook(hook).remove)
        result = module(*inputs)
    return result, seen


def _hook(
    seen: dict[str, Tensor], name: str, of_input: bool
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def listen(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        if name in seen:
            raise RuntimeError(f'tap {name!r} on {type(module).__name__} was passed twice')
        seen[name] = given[0] if of_input else result

    return listen


@contextmanager
def differentiable(inputs: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """Within it a record's gradients can be taken: its floating inputs, as leaves that want one."""
    with torch.inference_mode(False), torch.enable_grad():
        yield tuple(x.clone().requires_grad_(x.is_floating_point()) for x in inputs)


def channel_first(x: Tensor) -> Tensor:
    """(B, *spatial, C) -> (B, C, *spatial)."""
    return x.movedim(-1, 1)


def channel_last(x: Tensor) -> Tensor:
    """(B, C, *spatial) -> (B, *spatial, C)."""
    return x.movedim(1, -1)


class Arguments:
    """The authors' arguments of one target, each taken once; what is left over is refused."""

    def __init__(self, record: Record):
        self.target = record.target
        self.left = dict(record.args)

    def take(self, name: str, *, default: Any = None) -> Any:
        """The value of an argument, or `default` where it is absent and has one."""
        if name not in self.left and default is None:
            raise UnsupportedError(f'{self.target}: build.args lacks {name!r}')
        return self.left.pop(name, default)

    def only(self, name: str, *allowed: Any) -> None:
        """Take an argument that may have these values alone, if it is there."""
        value = self.left.pop(name, allowed[0])
        if isinstance(value, str):
            value = value.lower().removeprefix('nn.')
        if value not in allowed:
            known = ', '.join(repr(one) for one in allowed)
            raise UnsupportedError(f'{self.target}: {name}={value!r} is not built; only {known}')

    def ignore(self, *names: str) -> None:
        """Take arguments without a bearing on the numbers: initialisation, rates unused in eval."""
        for name in names:
            self.left.pop(name, None)

    def end(self) -> None:
        """Refuse what nobody has taken."""
        if self.left:
            rest = ', '.join(f'{name}={value!r}' for name, value in self.left.items())
            raise UnsupportedError(f'{self.target}: unknown arguments {rest}')
