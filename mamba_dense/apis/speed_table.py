"""Speed of the registered backbones beside two that everybody knows, as a table.

Of each family that is timed whose cost at 224x224 is nearest to Swin-T's, and the cheapest; the
variant `nano`, for tests and small data, is left out. All networks run in turn in every round, and
a ratio is the median of the ratios within the rounds.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from statistics import median
from typing import Any

import torch
from mmengine.registry import MODELS as ROOT
from torch import nn

from ..backbones.base import Backbone
from ..registry import MODELS
from .analysis import count_flops
from .speed import forward_pass, interleave

SIDE = 224
SWIN_GFLOPS = 4.5  # Swin-T at 224x224 as its authors print it (arXiv 2103.14030, table 1)
BASELINES: Mapping[str, Mapping[str, Any]] = {
    'Swin-T': {'type': 'mmseg.SwinTransformer'},
    'ResNet-50': {'type': 'mmseg.ResNet', 'depth': 50, 'out_indices': (0, 1, 2, 3)},
}


@dataclass(frozen=True)
class Entry:
    """A network of the table.

    Attributes:
        name: how the table calls it.
        cfg: its config.
        gflops: multiply-adds for one image of 224x224, in 10^9; None is not measured.
    """

    name: str
    cfg: Mapping[str, Any]
    gflops: float | None = None


@dataclass(frozen=True)
class Row:
    """One network on images of one size.

    Attributes:
        name: of the network.
        size: side of the image in pixels.
        parameters: number of them.
        rate: images per second, from the median round.
        ratios: its rate over that of each baseline, by the baseline's name.
    """

    name: str
    size: int
    parameters: int
    rate: float
    ratios: Mapping[str, float]


def families() -> Mapping[str, type[Backbone]]:
    """The registered backbones by name."""
    MODELS.import_from_location()
    kinds = {n: k for n, k in MODELS.module_dict.items() if isinstance(k, type)}
    return {name: kinds[name] for name in sorted(kinds) if issubclass(kinds[name], Backbone)}


def gflops(kind: type[Backbone], arch: str) -> float | None:
    """Multiply-adds of a variant for one image of 224x224, in 10^9; nothing is computed.

    None: it takes volumes, or images of another size alone.
    """
    with torch.device('meta'):
        model = kind(arch).eval()
    if model.spatial_dims != 2 or model.fixed_size not in (None, (SIDE, SIDE)):
        return None
    x = torch.empty(1, model.in_channels, SIDE, SIDE, device='meta')
    return count_flops(model, x)[0][''] / 1e9


def entries(names: Sequence[str] | None = None) -> list[Entry]:
    """The baselines, then of each family the variant nearest to Swin-T and the cheapest one.

    Args:
        names: families; None is all that are registered.

    Raises:
        ValueError: a name is not a registered backbone; lists those that are.
    """
    known = families()
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ValueError(f'{", ".join(unknown)} is no registered backbone; known: {list(known)}.')
    found = [Entry(name, cfg) for name, cfg in BASELINES.items()]
    for family in known if names is None else names:
        archs = [arch for arch in known[family].ARCHS if arch != 'nano']
        counted = {arch: gflops(known[family], arch) for arch in archs}
        costs = {arch: cost for arch, cost in counted.items() if cost is not None}
        nearest = min(costs, key=lambda arch: abs(costs[arch] - SWIN_GFLOPS))
        for arch in dict.fromkeys([nearest, min(costs, key=costs.__getitem__)]):
            cfg = {'type': f'mamba_dense.{family}', 'arch': arch}
            found.append(Entry(f'{family} {arch}', cfg, costs[arch]))
    return found


def time_table(
    networks: Sequence[Entry],
    sizes: Sequence[int] = (224, 512),
    *,
    rounds: int = 5,
    device: str = 'cpu',
    on_round: Callable[[], None] | None = None,
) -> list[Row]:
    """Time networks, initial weights, on single images in eval mode without gradients.

    Args:
        networks: from `entries`; the baselines must be among them.
        sizes: sides of the square images in pixels.
        rounds: timed rounds for each size, after one that is not.
        device: where to run.
        on_round: called after each timed round.

    Raises:
        ValueError: a size or number of rounds is below one, or a baseline is missing.
    """
    names = [entry.name for entry in networks]
    missing = [name for name in BASELINES if name not in names]
    if missing:
        raise ValueError(f'the ratios need {", ".join(missing)} among the networks: {names}.')
    if min(*sizes, rounds) < 1:
        raise ValueError(f'sizes={tuple(sizes)} and rounds={rounds} must be at least 1.')
    models = [ROOT.build(dict(entry.cfg)).to(device) for entry in networks]
    for model in models:
        model.eval()  # mmseg's ResNet returns nothing here
    rows = []
    for size in sizes:
        x = torch.randn(1, 3, size, size, device=device)
        passes = [forward_pass(model, x) for model in models]
        seconds = interleave(passes, rounds, warm_up=1, on_round=on_round)
        base = {name: seconds[names.index(name)] for name in BASELINES}
        for entry, model, times in zip(networks, models, seconds, strict=True):
            ratios = {
                name: median(b / t for b, t in zip(other, times, strict=True))
                for name, other in base.items()
            }
            rows.append(Row(entry.name, size, parameters(model), 1 / median(times), ratios))
    return rows


def parameters(model: nn.Module) -> int:
    """How many there are."""
    return sum(p.numel() for p in model.parameters())


def to_csv(rows: Sequence[Row], note: str) -> str:
    """One line a row, the note (device, threads, versions) in its last column."""
    text = StringIO()
    writer = csv.writer(text, lineterminator='\n')
    over = [f'over_{name}' for name in BASELINES]
    writer.writerow(['network', 'size', 'parameters', 'images_per_second', *over, 'note'])
    for row in rows:
        ratios = [f'{row.ratios[name]:.3f}' for name in BASELINES]
        writer.writerow([row.name, row.size, row.parameters, f'{row.rate:.3f}', *ratios, note])
    return text.getvalue()


def to_markdown(networks: Sequence[Entry], rows: Sequence[Row]) -> str:
    """One line a network: parameters, FLOPs, and for each size the rate and its two ratios."""
    sizes = list(dict.fromkeys(row.size for row in rows))
    head = ['backbone', 'params M', 'GFLOPs at 224']
    for size in sizes:
        head += [f'images/s at {size}', *(f'/ {name}' for name in BASELINES)]
    lines = [head, ['---', *['---:'] * (len(head) - 1)]]
    for entry in networks:
        mine = {row.size: row for row in rows if row.name == entry.name}
        cost = '-' if entry.gflops is None else f'{entry.gflops:.2f}'
        cells = [entry.name, f'{mine[sizes[0]].parameters / 1e6:.1f}', cost]
        for size in sizes:
            cells.append(f'{mine[size].rate:.2f}')
            cells += [f'{mine[size].ratios[name]:.2f}' for name in BASELINES]
        lines.append(cells)
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
