"""What Lightning says of every run and is no news here."""

import logging
import warnings

EXPECTED_WARNINGS = (
    "LightningCLI's args parameter is intended",  # a command line that was completed is how we run it
    ".*does not have many workers",  # images in memory need no loader processes
    "You're resuming from a checkpoint that ended before",  # the sampler starts at the right batch by itself
    "Checkpoint directory .* exists and is not empty",  # a run that is continued
    "It is recommended to use `self.log.*sync_dist=True",  # torchmetrics have synchronized what is logged
    "Couldn't infer the batch indices",  # predictions carry their own indices
    ".*isinstance.treespec, LeafSpec.. is deprecated",  # Lightning 2.6.6 with torch 2.15
)


def silence_what_is_not_news() -> None:
    """Filter warnings and log records for the rest of the process."""
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Not an advertisement, not a device that is missing, nor what this command line says itself."""
    return not record.getMessage().startswith(
        ("💡", "GPU available: F", "TPU available: F", "Seed set", "Resto", "Loaded", "Using ")
    )
