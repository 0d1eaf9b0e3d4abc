"""Albumentations over two dates and all their labels, under one random draw."""

import os
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mamba_dense.change.transforms import IGNORE, fields, stack_dates
from mamba_dense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PairedAlbumentations(BaseTransform):
    """Runs transforms of albumentations on both dates and every label with the same parameters.

    Their random numbers come from one seed that is drawn from numpy's generator for each sample:
    under `mamba_dense.StreamDataset` a sample is augmented alike in every run and on any number of
    workers. Labels are resampled to the nearest pixel; where a transform leaves nothing behind
    they are 255, unless its `fill_mask` says another number.

    Args:
        transforms: configs with `type`, a name of albumentations, and its arguments; those that
            hold others, such as `OneOf`, have `transforms` again. For instance
            `[dict(type='Affine', rotate=(-20, 20), p=0.5), dict(type='GaussNoise', p=0.2)]`.

    Raises:
        ValueError: a name that albumentations does not have.
        ImportError: albumentations is not installed (extra `change`).
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]]):
        # its import would ask the package index for a newer version
        os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')
        import albumentations

        built = [_build(albumentations, step) for step in transforms]
        self.compose = albumentations.Compose(built, additional_targets={'post': 'image'})

    def transform(self, results: dict) -> dict:
        """`results` with `img`, its shape and the labels changed."""
        keys = fields(results)
        self.compose.add_targets({key: 'mask' for key in keys})
        self.compose.set_random_seed(int(np.random.randint(2**31)))
        dates = [np.ascontiguousarray(one) for one in np.split(results['img'], 2, axis=2)]
        found = self.compose(image=dates[0], post=dates[1], **{key: results[key] for key in keys})
        results['img'] = stack_dates(found['image'], found['post'])
        results['img_shape'] = results['img'].shape[:2]
        for key in keys:
            results[key] = np.ascontiguousarray(found[key])
        return results


def _build(albumentations, cfg: Mapping[str, Any]):
    """A transform of its config, those inside it too."""
    options = dict(cfg)
    name = options.pop('type', None)
    kind = getattr(albumentations, str(name), None)
    if not (
        isinstance(kind, type)
        and issubclass(
            kind, albumentations.core.composition.BaseCompose | albumentations.BasicTransform
        )
    ):
        raise ValueError(
            f'type={name!r} is no transform of albumentations {albumentations.__version__}; '
            "names are those of its documentation, such as 'Affine' or 'RandomRotate90'."
        )
    parameters = signature(kind.__init__).parameters
    unknown = sorted(set(options) - set(parameters))
    if unknown:  # albumentations would only warn
        allowed = ', '.join(key for key in parameters if key != 'self')
        raise ValueError(f'{name} has no argument {", ".join(unknown)}; allowed: {allowed}.')
    if 'transforms' in options:
        options['transforms'] = [_build(albumentations, step) for step in options['transforms']]
    if 'fill_mask' in parameters:
        options.setdefault('fill_mask', IGNORE)
    return kind(**options)
