"""MONAI's transforms as a step of mmseg's pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from monai.transforms import Compose
from monai.utils import convert_to_numpy

from mamba_dense.registry import TRANSFORMS

_LABEL = 'gt_seg_map'
_SEEDS = 2**31


@TRANSFORMS.register_module()
class MonaiTransforms(BaseTransform):
    """Run MONAI's dictionary transforms on an image of mmseg's pipeline, and on its label map.

    They find `image` (C, H, W) in float32 and, once annotations are loaded, `label` (1, H, W). The
    generators of the random ones are seeded from numpy's for every image.

    Args:
        transforms: their configs, as `dict(type='monai.transforms.RandGaussianNoised',
            keys='image', prob=0.1)`.

    >>> step = dict(type='monai.transforms.NormalizeIntensityd', keys='image')
    >>> found = MonaiTransforms([step])({'img': np.arange(12.0).reshape(2, 2, 3)})['img']
    >>> found.shape, round(float(found.std()), 3)
    ((2, 2, 3), 1.0)
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]]):
        self.pipeline = Compose([TRANSFORMS.build(transform) for transform in transforms])

    def transform(self, results: dict) -> dict:
        """`results` with `img` (H, W[, C]) in float32, and `gt_seg_map` in its own type."""
        image = np.atleast_3d(results['img'])
        sample = {'image': np.ascontiguousarray(np.moveaxis(image, -1, 0), dtype=np.float32)}
        if _LABEL in results:
            sample['label'] = results[_LABEL][None]
        self.pipeline.set_random_state(int(np.random.randint(_SEEDS)))
        sample = self.pipeline(sample)
        found = np.moveaxis(convert_to_numpy(sample['image']), 0, -1)
        results['img'] = np.ascontiguousarray(found if results['img'].ndim == 3 else found[..., 0])
        results['img_shape'] = results['img'].shape[:2]
        if _LABEL in results:
            label = convert_to_numpy(sample['label'])[0]
            results[_LABEL] = np.ascontiguousarray(label, dtype=results[_LABEL].dtype)
        return results
