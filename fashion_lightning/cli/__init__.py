"""The ``fashion-lightning`` command: read command.py, arguments.py, build.py, then commands.py."""

from fashion_lightning.cli.command import main

__all__ = ["main"]
