"""Using a network: load, predict, tile, measure. Numpy in, numpy out.

>>> from mamba_dense.apis import list_models
>>> 'vmamba-tiny_s1l8_upernet_ade20k-512x512' in list_models()
True
"""

from .change import ChangeMaps, infer_change
from .images import ImageError, find_images, read_image
from .inferencer import Label, Prediction, infer, init_model
from .instances import Instances
from .models import list_models
from .raster_change import RasterOptions, RasterResult, infer_change_raster

__all__ = [
    'ChangeMaps',
    'ImageError',
    'Instances',
    'Label',
    'Prediction',
    'RasterOptions',
    'RasterResult',
    'find_images',
    'infer',
    'infer_change',
    'infer_change_raster',
    'init_model',
    'list_models',
    'read_image',
]
