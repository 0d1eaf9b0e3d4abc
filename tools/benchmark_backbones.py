"""VMamba-T beside Swin-T and a ConvNeXt of equal FLOPs, whole backbones without gradients.

python tools/benchmark_backbones.py [--sizes 224 512 1024] [--threads 2] [--out FOLDER]

At the first size VMamba-T also runs on the `chunked` scans. The folder gets `backbones.csv` and
`profile.txt`: where VMamba's time goes, and which maps or weights are copied to change a layout.
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rounds import machine, take_turns
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from mamba_dense.backbones import VMamba
from mamba_dense.bricks import ChannelLastConv2d, Mlp, PatchEmbed
from mamba_kernels import use_backend

DIMS = (96, 192, 384, 768)
COLUMNS = (
    'machine',
    'size',
    'network',
    'GMACs',
    'rounds',
    'median_ms',
    'min_ms',
    'max_ms',
    'ratio',
)
# what the profiler's operators are, first match first
KINDS = {
    'matrix products': ('mm', 'addmm', 'bmm'),
    'convolutions': ('mkldnn_convolution', 'convolution', 'slow_conv2d', '_conv_depthwise2d'),
    'scans': ('route_forward', 'route_scan_forward'),
    'norms': ('native_layer_norm',),
    'GELU and SiLU': ('gelu', 'silu'),
    'sums': ('add', 'add_', 'cat'),
    'copies': ('copy_',),
}


class ConvNeXtBlock(nn.Module):
    """x + gamma mlp(norm(conv7(x))) (arXiv 2201.03545), channel-last, of our bricks."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv = ChannelLastConv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma * self.mlp(self.norm(self.conv(x)))


def convnext(depths: Sequence[int] = (3, 3, 11, 3)) -> nn.Sequential:
    """ConvNeXt-T with two more blocks in its third stage: the FLOPs of VMamba-T."""
    parts: list[nn.Module] = []
    for i, (dim, depth) in enumerate(zip(DIMS, depths, strict=True)):
        if i:
            parts += [nn.LayerNorm(DIMS[i - 1]), ChannelLastConv2d(DIMS[i - 1], dim, 2, stride=2)]
        parts += [ConvNeXtBlock(dim) for _ in range(depth)]
    return nn.Sequential(PatchEmbed(3, DIMS[0]), *parts)


def swin() -> nn.Module | None:
    """mmseg's Swin-T, None where mmseg is not installed."""
    try:
        from mmseg.models.backbones import SwinTransformer
    except ImportError:
        return None
    return SwinTransformer(
        embed_dims=DIMS[0], depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), window_size=7
    )


def networks(device: str) -> dict[str, Callable[[Tensor], object]]:
    """What competes: each takes an image."""
    vmamba, beside = VMamba('tiny_s1l8'), {'Swin-T, mmseg': swin(), 'ConvNeXt, ours': convnext()}
    modules = {'VMamba-T': vmamba, **{name: m for name, m in beside.items() if m is not None}}
    for module in modules.values():
        module.train(False)
        module.to(device, memory_format=torch.channels_last)

    def chunked(x: Tensor) -> object:
        with use_backend('chunked'):
            return vmamba(x)

    def channel_last(x: Tensor) -> object:
        return modules['ConvNeXt, ours'](x.permute(0, 2, 3, 1))

    return {**modules, 'ConvNeXt, ours': channel_last, 'VMamba-T, chunked': chunked}


def gmacs(step: Callable[[], object]) -> float:
    """Billions of multiply-adds, as torch counts them; a scan counts 9 per state, halved too."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 2e9


def breakdown(step: Callable[[], object], size: int) -> str:
    """Where the time goes, as text: shares by kind, and the maps and weights that were copied."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
        step()
    events = profiled.events()
    spent: Counter[str] = Counter()
    kinds = {name: kind for kind, names in KINDS.items() for name in names}
    for event in events:
        kind = kinds.get(event.name.split('::')[-1], 'all else')
        spent[kind] += event.self_cpu_time_total
    total = sum(spent.values())
    lines = [f'VMamba-T at {size}x{size}: {total / 1e3:.1f} ms under the profiler']
    lines += [
        f'  {kind:16}{us / 1e3:9.1f} ms {us / total:7.1%}' for kind, us in spent.most_common()
    ]
    copies = [e for e in events if e.name == 'aten::copy_' and len(e.input_shapes[0]) == 4]
    lines.append(f'  maps and convolution weights copied: {len(copies)}')
    for event in copies:
        ms = event.self_cpu_time_total / 1e3
        lines.append(f'    {"x".join(str(n) for n in event.input_shapes[0])}{ms:9.2f} ms')
    return '\n'.join(lines) + '\n'


def compare(size: int, rounds: int, device: str, chunked: bool) -> tuple[list[dict], str]:
    """Rows of one size and VMamba's profile."""
    x = torch.randn(1, 3, size, size, device=device)
    runs = networks(device)
    if not chunked:
        runs.pop('VMamba-T, chunked')
    steps = {name: lambda run=run: run(x) for name, run in runs.items()}
    with torch.inference_mode():
        counts = {name: gmacs(step) for name, step in steps.items()}
        times = take_turns(steps, rounds, device)
        seen = breakdown(steps['VMamba-T'], size) if device == 'cpu' else ''
    own = times['VMamba-T'].median
    rows = [
        {
            'machine': machine(device),
            'size': size,
            'network': name,
            'GMACs': round(counts[name], 2),
            'rounds': rounds,
            'median_ms': round(time.median, 1),
            'min_ms': round(time.least, 1),
            'max_ms': round(time.most, 1),
            'ratio': round(time.median / own, 2),
        }
        for name, time in times.items()
    ]
    return rows, seen


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sizes', nargs='+', type=int, default=[224, 512, 1024])
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--threads', type=int, help='CPU threads; default: torch decides')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--no-chunked', action='store_true', help='leave the chunked scans out')
    parser.add_argument('--out', type=Path, help='folder for backbones.csv and profile.txt')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    warnings.filterwarnings('ignore', module='mmseg')
    if args.threads is not None:
        torch.set_num_threads(max(1, args.threads))
    print(machine(args.device))
    rows, profiles = [], []
    for i, size in enumerate(args.sizes):
        added, seen = compare(
            size, args.rounds, args.device, chunked=i == 0 and not args.no_chunked
        )
        rows += added
        profiles.append(seen)
        for row in added:
            ms = f'{row["median_ms"]:9.1f} ms ({row["min_ms"]} to {row["max_ms"]})'
            print(
                f'{size:5}  {row["network"]:18}{row["GMACs"]:8.2f} GMACs{ms}  {row["ratio"]:.2f}x'
            )
        print(seen, flush=True)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        with (args.out / 'backbones.csv').open('w', newline='') as handle:
            writer = csv.DictWriter(handle, COLUMNS, lineterminator='\n')
            writer.writeheader()
            writer.writerows(rows)
        (args.out / 'profile.txt').write_text(''.join(profiles))
    return 0


if __name__ == '__main__':
    logging.disable(logging.WARNING)
    sys.exit(main())
