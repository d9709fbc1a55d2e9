"""Turn the files of a data set into batches: read source.py, split.py, batches.py, augment.py, then datamodule.py."""
