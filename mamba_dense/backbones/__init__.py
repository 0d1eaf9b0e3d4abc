"""Registered backbones, one file a family."""

from .vmamba import VMamba

__all__ = ['VMamba']
