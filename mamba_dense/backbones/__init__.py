"""Registered backbones, one file a family."""

from .vim import Vim
from .vmamba import VMamba
from .vssd import VSSD

__all__ = ['VSSD', 'VMamba', 'Vim']
