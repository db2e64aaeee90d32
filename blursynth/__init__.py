"""Faithful synthetic motion-blur datasets at any size."""

__version__ = "0.1.0"
