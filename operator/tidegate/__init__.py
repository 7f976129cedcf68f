"""Tidegate: capacity before the crowd, back before the bill."""

__version__ = "0.1.0"
