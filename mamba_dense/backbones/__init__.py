"""Registered backbones, one file a family."""

from .mobilemamba import MobileMamba
from .vim import Vim
from .vmamba import VMamba

__all__ = ['MobileMamba', 'VMamba', 'Vim']
