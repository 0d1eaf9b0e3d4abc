"""Registered backbones, one file a family."""

from .efficientvim import EfficientViM
from .mambaout import MambaOut
from .vim import Vim
from .vmamba import VMamba

__all__ = ['EfficientViM', 'MambaOut', 'VMamba', 'Vim']
