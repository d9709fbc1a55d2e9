"""Many fits at once: a recipe with several seeds, and a search over its settings on Optuna.

Read fits.py, which runs fits as child processes and repeats recipes; then space.py, study.py, search.py.
"""
