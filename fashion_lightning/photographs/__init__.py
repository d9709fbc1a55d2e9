"""A person's photographs, made into a network's input: read files.py, then prepare.py."""
