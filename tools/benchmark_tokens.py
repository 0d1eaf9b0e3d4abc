"""Vim-Ti beside DeiT-Ti on one large picture: time and peak memory. Needs torch, numpy and Triton.

python tools/benchmark_tokens.py [--size 1248] [--batches 1 8] [--device cuda] [--out FILE.csv]

Both are built here of the library's mixers and bricks, 192 channels wide, patches of 16 pixels:
24 blocks of Vim's mixer, and 12 of attention with an MLP. DeiT runs with the attention of torch
that forms the whole matrix (math) and with the one that does not (flash). On a GPU under bfloat16
autocast, on a CPU in float32.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rounds import machine, take_turns
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mamba_dense.bricks import ChannelLastConv2d, Mlp, RMSNorm
from mamba_dense.mixers import BidirectionalMixer, SelfAttention
from mamba_kernels import available_backends

DIM, PATCH, CLASSES = 192, 16, 1000
MODES = ('forward', 'forward+backward')
ATTENTIONS = {'math': SDPBackend.MATH, 'flash': SDPBackend.FLASH_ATTENTION}
COLUMNS = (
    *('machine', 'size', 'tokens', 'batch', 'mode', 'network', 'rounds'),
    *('median_ms', 'min_ms', 'max_ms', 'ratio_to_vim', 'peak_mib'),
)


class VimBlock(nn.Module):
    """x + mixer(norm(x))."""

    def __init__(self):
        super().__init__()
        self.norm = RMSNorm(DIM)
        self.mixer = BidirectionalMixer(DIM)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mixer(self.norm(x))


class AttentionBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.mixer = SelfAttention(DIM, heads=3)
        self.mlp = Mlp(DIM, 4 * DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mixer(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Plain(nn.Module):
    """Patches, positions, blocks, norm, mean of the tokens, classes."""

    def __init__(self, block: Callable[[], nn.Module], depth: int, size: int):
        super().__init__()
        side = size // PATCH
        self.conv = ChannelLastConv2d(3, DIM, PATCH, stride=PATCH)
        self.positions = nn.Parameter(0.02 * torch.randn(side, side, DIM))
        self.blocks = nn.Sequential(*(block() for _ in range(depth)))
        self.norm = nn.LayerNorm(DIM)
        self.head = nn.Linear(DIM, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x.permute(0, 2, 3, 1)) + self.positions  # (B, H, W, C)
        return self.head(self.norm(self.blocks(x)).mean((1, 2)))


def call(model: nn.Module, x: Tensor, train: bool, attention: SDPBackend) -> None:
    """One pass, with the backward one if it is training."""
    half = torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda)
    with torch.set_grad_enabled(train), sdpa_kernel(attention), half:
        loss = model(x).float().mean()
    if train:
        loss.backward()
        model.zero_grad(set_to_none=True)


def peak(step: Callable[[], None], device: str) -> float | str:
    """MiB that a pass needs beyond what is there before it; empty where torch does not count."""
    if device == 'cpu':
        return ''
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return round((torch.cuda.max_memory_allocated() - before) / 2**20, 1)


def fits(step: Callable[[], None]) -> str | None:
    """Why a pass cannot run here, None if it can."""
    try:
        step()
    except RuntimeError as error:  # out of memory is one of them
        return str(error).splitlines()[0]
    return None


def compare(size: int, batch: int, mode: str, rounds: int, device: str) -> list[dict]:
    """Rows of one batch and mode; what cannot run is printed and left out."""
    train = mode == MODES[1]
    x = torch.randn(batch, 3, size, size, device=device)
    vim, deit = (
        Plain(block, depth, size).to(device).train(train)
        for block, depth in ((VimBlock, 24), (AttentionBlock, 12))
    )
    steps = {'Vim-Ti': lambda: call(vim, x, train, SDPBackend.MATH)}  # it has no attention
    for name, kind in ATTENTIONS.items():
        steps[f'DeiT-Ti, {name}'] = lambda kind=kind: call(deit, x, train, kind)
    for name in list(steps):
        reason = fits(steps[name])
        if reason is not None:
            print(f'{name}, batch {batch}, {mode}: not run: {reason}')
            steps.pop(name)
    times = take_turns(steps, rounds, device)
    own = times['Vim-Ti'].median if 'Vim-Ti' in times else float('nan')
    return [
        {
            'machine': machine(device),
            'size': size,
            'tokens': (size // PATCH) ** 2,
            'batch': batch,
            'mode': mode,
            'network': name,
            'rounds': rounds,
            'median_ms': round(time.median, 2),
            'min_ms': round(time.least, 2),
            'max_ms': round(time.most, 2),
            'ratio_to_vim': round(time.median / own, 2),
            'peak_mib': peak(steps[name], device),
        }
        for name, time in times.items()
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', type=int, default=1248)
    parser.add_argument('--batches', nargs='+', type=int, default=[1, 8])
    parser.add_argument('--modes', nargs='+', choices=MODES, default=MODES)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out', type=Path, default=Path('tokens.csv'))
    args = parser.parse_args(argv)
    print(f'{machine(args.device)}; scan backends: {", ".join(available_backends())}')
    with args.out.open('w', newline='') as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator='\n')
        writer.writeheader()
        for batch in args.batches:
            for mode in args.modes:
                for row in compare(args.size, batch, mode, args.rounds, args.device):
                    writer.writerow(row)
                    handle.flush()
                    memory = f'{row["peak_mib"]} MiB' if row['peak_mib'] != '' else ''
                    print(
                        f'batch {batch}  {row["mode"]:18}{row["network"]:16}'
                        f'{row["median_ms"]:10.2f} ms{row["ratio_to_vim"]:8.2f}x Vim  {memory}',
                        flush=True,
                    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
