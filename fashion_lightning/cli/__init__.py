"""The ``fashion-lightning`` command: read main.py, arguments.py, build.py, then commands.py."""
