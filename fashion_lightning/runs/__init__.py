"""Run folders: read folder.py, then checkpoint.py; each other file handles one part of a run folder."""
