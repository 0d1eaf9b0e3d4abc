"""Weight files: where they are, how they are read, and how the authors' names become ours."""

from .keymap import KeyMap, KeyMismatchError
from .load import LoadReport, load_model_weights, load_weights
from .tables import resize_table

__all__ = [
    'KeyMap',
    'KeyMismatchError',
    'LoadReport',
    'load_model_weights',
    'load_weights',
    'resize_table',
]
