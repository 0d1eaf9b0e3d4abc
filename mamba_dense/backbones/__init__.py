"""Registered backbones, one file a family."""

from .efficientvmamba import EfficientVMamba
from .vim import Vim
from .vmamba import VMamba

__all__ = ['EfficientVMamba', 'VMamba', 'Vim']
