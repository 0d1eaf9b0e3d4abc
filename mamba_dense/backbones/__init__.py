"""Registered backbones, one file a family."""

from .msvmamba import MSVMamba
from .vim import Vim
from .vmamba import VMamba
from .vssd import VSSD

__all__ = ['MSVMamba', 'VSSD', 'VMamba', 'Vim']
