"""Weight files: where they are, how they are read, and how the authors' names become ours."""

from .author_names import SCAN_NAMES, TRUNK_NAMES, staged_key_maps
from .keymap import JointKeys, KeyMap, KeyMismatchError
from .load import LoadReport, load_model_weights, load_weights
from .tables import resize_table

__all__ = [
    'JointKeys',
    'KeyMap',
    'KeyMismatchError',
    'LoadReport',
    'SCAN_NAMES',
    'TRUNK_NAMES',
    'load_model_weights',
    'load_weights',
    'resize_table',
    'staged_key_maps',
]
