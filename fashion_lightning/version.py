"""The version of this package; the build reads it from this file."""

__version__ = "0.3.0.dev0"
