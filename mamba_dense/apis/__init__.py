"""Using a network: load, predict, tile, measure. Numpy in, numpy out.

>>> from mamba_dense.apis import list_models
>>> 'vmamba-tiny_s1l8_upernet_ade20k-512x512' in list_models()
True
"""

from .images import ImageError, find_images, read_image
from .inferencer import Label, Prediction, infer, init_model
from .instances import Instances
from .models import list_models

__all__ = [
    'ImageError',
    'Instances',
    'Label',
    'Prediction',
    'find_images',
    'infer',
    'init_model',
    'list_models',
    'read_image',
]
