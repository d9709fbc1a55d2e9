"""Turn a user's photographs into a network's input: read files.py, then prepare.py."""
