"""The version of this package, for whoever needs it without what ``__init__`` brings along."""

__version__ = "0.3.0.dev0"
