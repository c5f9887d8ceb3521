"""Penstock: declarative TFX pipelines."""

from penstock.version import __version__

__all__ = ["__version__"]
