"""What builders of staged networks share: widths, ranks, classifiers and backbones by level."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..backbones.base import StagedBackbone
from ..classification import ImageClassifier
from .subject import Arguments, Outputs, Subject, Tap, UnsupportedError, observe


def take_sizes(arguments: Arguments) -> dict[str, tuple[int, ...]]:
    """`dims` and `depths` of an `Arch`; a single width doubles from stage to stage."""
    depths = tuple(arguments.take('depths'))
    dims = arguments.take('dims')
    dims = tuple(dims * 2**i for i in range(len(depths))) if isinstance(dims, int) else tuple(dims)
    return {'dims': dims, 'depths': depths}


def check_rank(arguments: Arguments, name: str, *widths: int) -> None:
    """The step size's rank follows from the width; another one is refused."""
    rank = arguments.take(name, default='auto')
    if rank != 'auto' and any(rank != math.ceil(width / 16) for width in widths):
        raise UnsupportedError(f'{name}={rank!r} is not built; it is ceil(width / 16)')


def classifier(
    kind: type[StagedBackbone], arguments: Arguments, arch: Mapping[str, Any]
) -> ImageClassifier:
    """A backbone without output norms under norm, mean and a linear layer; all arguments taken."""
    channels, classes = arguments.take('in_chans'), arguments.take('num_classes')
    arguments.end()
    dims = arch['dims']
    return ImageClassifier(
        {
            'type': f'mamba_dense.{kind.__name__}',
            'arch': arch,
            'in_channels': channels,
            'out_indices': (len(dims) - 1,),
            'output_norm': False,
        },
        {
            'type': 'mamba_dense.NormPoolLinear',
            'in_channels': dims[-1],
            'num_classes': classes,
        },
    )


def level_taps(backbone: StagedBackbone) -> dict[str, Tap]:
    """The stem, each stage before its downsampling, and each downsampling."""
    taps = {'stem': Tap(backbone.stem)}
    for i, stage in enumerate(backbone.stages):
        taps[f'stage{i}'] = Tap(stage.blocks[-1])
        if stage.downsample is not None:
            taps[f'down{i}'] = Tap(stage.downsample)
    return taps


def classifier_subject(
    model: ImageClassifier,
    taps: Mapping[str, Tap],
    layout: Callable[[Tensor], Tensor] = lambda x: x,
) -> Subject:
    """What is observed at the taps, each (B, H, W, C) through `layout`, and the logits."""

    def run(inputs: tuple[Tensor, ...]) -> Outputs:
        logits, seen = observe(model, inputs, taps)
        return {**{name: layout(x) for name, x in seen.items()}, 'logits': logits}

    return Subject(run, model, model.AUTHOR_KEYS)


def backbone_subject(
    kind: type[StagedBackbone],
    arguments: Arguments,
    arch: Mapping[str, Any],
    name_of: Callable[[Sequence[int]], Sequence[str]],
) -> Subject:
    """The normed maps (B, C, H, W) of `out_indices`, which `name_of` names; all arguments taken."""
    channels, indices = arguments.take('in_chans'), tuple(arguments.take('out_indices'))
    arguments.ignore('pretrained', 'num_classes')
    arguments.end()
    model = kind(arch, in_channels=channels, out_indices=indices)
    names = name_of(indices)
    return Subject(lambda inputs: dict(zip(names, model(*inputs))), model, model.AUTHOR_KEYS)
