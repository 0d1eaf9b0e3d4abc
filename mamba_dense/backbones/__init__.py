"""Registered backbones, one file a family."""

from .mambaout import MambaOut
from .vim import Vim
from .vmamba import VMamba

__all__ = ['MambaOut', 'VMamba', 'Vim']
