"""Turn the four files into batches: read source.py, split.py, batches.py, augment.py, then datamodule.py."""
