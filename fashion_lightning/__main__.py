"""``python -m fashion_lightning`` runs the ``fashion-lightning`` command."""

try:
    from fashion_lightning.cli import main
except KeyboardInterrupt:  # while Python still imports modules
    raise SystemExit(130) from None

if __name__ == "__main__":
    main()
