"""Synthetic weights under the names and shapes of VMamba's authors (sheet sections 3 and 8)."""

import math

import torch

from mamba_dense.reference.fill import fill


def _rows(arch, in_channels, num_classes):
    """(name, shape) of every tensor of the authors' classifier for one of our `Arch` rows."""
    dims, first = arch.dims, arch.dims[0]
    if arch.patch_stem:
        yield from _conv('patch_embed.0', first, in_channels, 4)
        yield from _norm('patch_embed.2', first)
    else:
        yield from _conv('patch_embed.0', first // 2, in_channels, 3)
        yield from _norm('patch_embed.2', first // 2)
        yield from _conv('patch_embed.5', first, first // 2, 3)
        yield from _norm('patch_embed.7', first)
    for i, (dim, depth) in enumerate(zip(dims, arch.depths, strict=True)):
        for j in range(depth):
            yield from _block(f'layers.{i}.blocks.{j}', dim, arch)
        if i < len(dims) - 1:
            name = f'layers.{i}.downsample'
            if arch.patch_merging:
                yield f'{name}.reduction.weight', (dims[i + 1], 4 * dim)
                yield from _norm(f'{name}.norm', 4 * dim)
            else:
                yield from _conv(f'{name}.1', dims[i + 1], dim, 3)
                yield from _norm(f'{name}.3', dims[i + 1])
    yield from _norm('classifier.norm', dims[-1])
    yield from _linear('classifier.head', num_classes, dims[-1])


def _conv(name, out, inputs, side):
    yield f'{name}.weight', (out, inputs, side, side)
    yield f'{name}.bias', (out,)


def _linear(name, out, inputs):
    yield f'{name}.weight', (out, inputs)
    yield f'{name}.bias', (out,)


def _norm(name, dim):
    yield f'{name}.weight', (dim,)
    yield f'{name}.bias', (dim,)


def _block(name, dim, arch):
    inner, rank, state = int(dim * arch.ratio), math.ceil(dim / 16), arch.state
    yield from _norm(f'{name}.norm', dim)
    yield f'{name}.op.x_proj_weight', (4, rank + 2 * state, inner)
    yield f'{name}.op.A_logs', (4 * inner, state)
    yield f'{name}.op.Ds', (4 * inner,)
    yield f'{name}.op.dt_projs_weight', (4, inner, rank)
    yield f'{name}.op.dt_projs_bias', (4, inner)
    yield f'{name}.op.in_proj.weight', (2 * inner if arch.gated else inner, dim)
    yield f'{name}.op.conv2d.weight', (inner, 1, 3, 3)
    if arch.conv_bias:
        yield f'{name}.op.conv2d.bias', (inner,)
    yield from _norm(f'{name}.op.out_norm', inner)
    yield f'{name}.op.out_proj.weight', (dim, inner)
    if arch.mlp_ratio:
        yield from _norm(f'{name}.norm2', dim)
        hidden = int(dim * arch.mlp_ratio)
        yield from _linear(f'{name}.mlp.fc1', hidden, dim)
        yield from _linear(f'{name}.mlp.fc2', dim, hidden)


def classifier(arch, *, in_channels=3, num_classes=10):
    """The authors' classifier as a state dict."""
    rows = _rows(arch, in_channels, num_classes)
    return {name: torch.from_numpy(fill(name, shape)).float() for name, shape in rows}


def backbone(arch, *, in_channels=3):
    """The authors' dense backbone: no classifier, a norm for each stage."""
    state = classifier(arch, in_channels=in_channels)
    state = {name: value for name, value in state.items() if not name.startswith('classifier.')}
    for i, dim in enumerate(arch.dims):
        for name, shape in _norm(f'outnorm{i}', dim):
            state[name] = torch.from_numpy(fill(name, shape)).float()
    return state


def january(state):
    """The same weights under the names of the files of January 2024."""
    pairs = (
        ('patch_embed.0.', 'patch_embed.proj.'),
        ('patch_embed.2.', 'patch_embed.norm.'),
        ('classifier.', ''),
        ('.op.', '.self_attention.'),
    )
    renamed = {}
    for name, value in state.items():
        for old, new in pairs:
            name = name.replace(old, new)
        parts = name.split('.')
        if len(parts) > 4 and parts[2] == 'blocks' and parts[4] == 'norm':
            name = '.'.join([*parts[:4], 'ln_1', *parts[5:]])
        renamed[name] = value
    return renamed
