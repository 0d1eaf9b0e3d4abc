"""Registered backbones, one file a family."""

from .efficientvmamba import EfficientVMamba
from .mambaout import MambaOut
from .mobilemamba import MobileMamba
from .vim import Vim
from .vmamba import VMamba
from .vssd import VSSD

__all__ = [
    'EfficientVMamba',
    'MambaOut',
    'MobileMamba',
    'VMamba',
    'VSSD',
    'Vim',
]
