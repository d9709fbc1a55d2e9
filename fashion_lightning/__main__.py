"""``python -m fashion_lightning``: the same as the ``fashion-lightning`` command."""

from fashion_lightning.cli import main

if __name__ == "__main__":
    main()
