"""One thing each, hung on the Trainer."""
