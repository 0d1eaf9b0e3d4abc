"""KeyMap: how the names in an authors' weight file become ours, as data, strict on both sides."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .tables import adapt_table

SHOWN = 6  # names shown of a long list in an error


def some(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are."""
    shown = ', '.join(names[:SHOWN])
    return f'{shown}, ... ({len(names)} in all)' if len(names) > SHOWN else shown


class KeyMismatchError(ValueError):
    """Weights and network do not fit; says what is missing, surplus or of another shape."""

    def __init__(
        self,
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        misshapen: Sequence[str] = (),
        doubled: Sequence[str] = (),
    ):
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.misshapen = tuple(misshapen)
        self.doubled = tuple(doubled)
        lines = (
            ('missing from the weights', self.missing),
            ('in the weights but unknown to the network', self.unexpected),
            ('of another shape', self.misshapen),
            ('given twice', self.doubled),
        )
        super().__init__('; '.join(f'{len(n)} {what}: {some(n)}' for what, n in lines if n))


@dataclass(frozen=True)
class Conversion:
    """What a KeyMap made of a source: our tensors, and what it did on the way."""

    tensors: dict[str, Tensor]
    dropped: tuple[str, ...] = ()  # source keys left out by name
    fresh: tuple[str, ...] = ()  # our keys that keep their initial values
    adapted: tuple[str, ...] = ()  # first convolutions and tables of other sizes, what was set to 0


@dataclass(frozen=True)
class KeyMap:
    """Patterns (``re.search``) that turn the keys of one layout into those of another.

    rename: (pattern, replacement) pairs, applied in this order, each to every source key.
    drop: source keys that have no place here, such as a classifier in a backbone.
    reshape: our keys whose tensor may be viewed in the target's shape by splitting or merging
        neighbouring axes: ``A_logs`` (K*D, N) -> (K, D, N), a 1x1 kernel (o, i, 1, 1) -> (o, i).
    fresh: our keys that a file may lack (they keep their initial values), or may hold although
        this build of the network has no such part (they are left out).
    zero: our keys that a file may lack and that are 0 then, so that the part changes nothing.
    copy: (pattern of our key, replacement) pairs: the tensor also goes to the name so made,
        where one source feeds two targets.
    inputs: our first convolutions, whose kernel is adapted to another number of input channels.
    tables: our learned tables of positions (1, H, W, C), resized from the file's square grid, and
        the class token's row of it (1, 1, C); see `adapt_table`.
    """

    rename: tuple[tuple[str, str], ...] = ()
    drop: tuple[str, ...] = ()
    reshape: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()
    copy: tuple[tuple[str, str], ...] = ()
    inputs: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    def name(self, source: str) -> str:
        """Our name of a source key (or of the beginning of one)."""
        for pattern, replacement in self.rename:
            source = re.sub(pattern, replacement, source)
        return source

    def drops(self, source: str) -> bool:
        return _any(self.drop, source)

    def own(self) -> 'KeyMap':
        """The map for sources that are in our layout already."""
        return replace(self, rename=(), drop=(), copy=())

    def convert(
        self, source: Mapping[str, Tensor], target: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The source's tensors under the target's names and shapes; raises KeyMismatchError."""
        return self.plan(source, target).tensors

    def plan(self, source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Conversion:
        """As `convert`, with a record of what was dropped, left fresh and adapted."""
        work = _Work(self, target)
        for key, tensor in source.items():
            work.take(key, tensor)
        return work.finish()


@dataclass(frozen=True)
class JointKeys:
    """The key maps of a network's parts, for a file of the whole network in its authors' layout.

    parts: for each part the prefix of our names, and its map from the authors' names in the whole
        network to ours in the part; it drops by name what belongs to the others.
    """

    parts: tuple[tuple[str, KeyMap], ...]

    def name(self, source: str) -> str:
        """Our name of a source key that belongs to one part alone; '' is the whole network."""
        for prefix, keymap in self.parts:
            if source and not keymap.drops(source):
                return prefix + keymap.name(source)
        return source

    def convert(
        self, source: Mapping[str, Tensor], target: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The source's tensors under the target's names and shapes; raises KeyMismatchError."""
        return self.plan(source, target).tensors

    def plan(self, source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> Conversion:
        """As `convert`, with a record of what no part took, of what is fresh and adapted."""
        tensors: dict[str, Tensor] = {}
        dropped = dict.fromkeys(source)
        fresh: list[str] = []
        adapted: list[str] = []
        for prefix, keymap in self.parts:
            own = {key[len(prefix) :]: t for key, t in target.items() if key.startswith(prefix)}
            done = keymap.plan(source, own)
            tensors |= {prefix + key: tensor for key, tensor in done.tensors.items()}
            dropped = {key: None for key in done.dropped if key in dropped}
            fresh += [prefix + key for key in done.fresh]
            adapted += [prefix + line for line in done.adapted]
        filled = {*tensors, *fresh}
        if missing := [key for key in target if key not in filled]:
            raise KeyMismatchError(missing)
        return Conversion(tensors, tuple(dropped), tuple(fresh), tuple(adapted))


@dataclass
class _Work:
    """One conversion in progress."""

    keymap: KeyMap
    target: Mapping[str, Tensor]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    def take(self, key: str, tensor: Tensor) -> None:
        if self.keymap.drops(key):
            self.dropped.append(key)
            return
        ours = self.keymap.name(key)
        names = [ours]
        for pattern, replacement in self.keymap.copy:
            if re.search(pattern, ours):
                names.append(re.sub(pattern, replacement, ours))
        wanted = [name for name in names if name in self.target]
        for name in wanted:
            if name in self.tensors:
                self.doubled.append(f'{name} (from {self.origin[name]} and {key})')
                continue
            self._fill(name, tensor)
            self.origin[name] = key
        if wanted:
            return
        if _any(self.keymap.fresh, ours):
            self.dropped.append(key)
        else:
            self.unexpected.append(key if key == ours else f'{key} (ours: {ours})')

    def _fill(self, name: str, tensor: Tensor) -> None:
        shape = self.target[name].shape
        if tensor.shape != shape:
            if _any(self.keymap.reshape, name) and _splits(tensor.shape, shape):
                tensor = tensor.reshape(shape)
            elif _any(self.keymap.inputs, name) and _differs_in_inputs(tensor.shape, shape):
                self.adapted.append(f'{name}: {tensor.shape[1]} -> {shape[1]} input channels')
                tensor = adapt_inputs(tensor, shape[1])
            elif (table := self._table(name, tensor)) is not None:
                tensor = table
            else:
                self.misshapen.append(f'{name} {list(tensor.shape)}, wanted {list(shape)}')
        self.tensors[name] = tensor

    def _table(self, name: str, tensor: Tensor) -> Tensor | None:
        shape = self.target[name].shape
        table = adapt_table(tensor, shape) if _any(self.keymap.tables, name) else None
        if table is not None and len(shape) == 4:
            have = tensor.shape[1] if tensor.ndim == 3 else f'{tensor.shape[1]}x{tensor.shape[2]}'
            if have not in (shape[1] * shape[2], shape[1] * shape[2] + 1):
                self.adapted.append(f'{name}: {have} -> {shape[1]}x{shape[2]} positions')
        return table

    def finish(self) -> Conversion:
        unfilled = [name for name in self.target if name not in self.tensors]
        zeroed = [name for name in unfilled if _any(self.keymap.zero, name)]
        unfilled = [name for name in unfilled if name not in zeroed]
        fresh = [name for name in unfilled if _any(self.keymap.fresh, name)]
        missing = [name for name in unfilled if not _any(self.keymap.fresh, name)]
        if missing or self.unexpected or self.misshapen or self.doubled:
            raise KeyMismatchError(missing, self.unexpected, self.misshapen, self.doubled)
        for name in zeroed:
            self.tensors[name] = torch.zeros_like(self.target[name])
            self.adapted.append(f'{name}: not in the file, set to 0')
        return Conversion(self.tensors, tuple(self.dropped), tuple(fresh), tuple(self.adapted))


def adapt_inputs(kernel: Tensor, channels: int) -> Tensor:
    """A kernel (out, in, *window) for another number of input channels, as timm adapts it.

    One channel takes the sum over the file's channels; any other number repeats them in turn,
    scaled by have/channels so that responses keep their size.
    """
    have = kernel.shape[1]
    summed = kernel.to(torch.float64)
    if channels == 1:
        return summed.sum(dim=1, keepdim=True).to(kernel.dtype)
    index = torch.arange(channels, device=kernel.device) % have
    return (summed.index_select(1, index) * (have / channels)).to(kernel.dtype)


def _any(patterns: Sequence[str], key: str) -> bool:
    return any(re.search(pattern, key) for pattern in patterns)


def _differs_in_inputs(have: Sequence[int], want: Sequence[int]) -> bool:
    same_rank = len(have) == len(want) > 2
    return same_rank and have[0] == want[0] and tuple(have[2:]) == tuple(want[2:])


def _splits(have: Sequence[int], want: Sequence[int]) -> bool:
    """Whether one shape becomes the other by splitting, or by merging, neighbouring axes."""
    if math.prod(have) != math.prod(want):
        return False
    fine, coarse = sorted(([n for n in s if n != 1] for s in (have, want)), key=len, reverse=True)
    rest = list(fine)
    for size in coarse:
        product = 1
        while product < size and rest:
            product *= rest.pop(0)
        if product != size:
            return False
    return not rest
