"""Registered backbones, one file a family."""

from .efficientvmamba import EfficientVMamba
from .res_vmamba import ResVMamba
from .vim import Vim
from .vmamba import VMamba

__all__ = ['EfficientVMamba', 'ResVMamba', 'VMamba', 'Vim']
