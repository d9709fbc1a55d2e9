"""From the four files to batches: read source.py, split.py, batches.py, augment.py, then datamodule.py."""
