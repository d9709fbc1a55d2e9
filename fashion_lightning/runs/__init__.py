"""Run folders: folder.py, then checkpoint.py; each other file is one thing that a run folder needs."""
