"""Registered backbones, one file a family."""

from .efficientvmamba import EfficientVMamba
from .mambaout import MambaOut
from .vim import Vim
from .vmamba import VMamba
from .vssd import VSSD

__all__ = [
    'EfficientVMamba',
    'MambaOut',
    'VMamba',
    'VSSD',
    'Vim',
]
