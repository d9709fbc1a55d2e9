"""Run many fits: a recipe with several seeds, or a search over its settings with Optuna.

Read fits.py first, which runs fits as child processes and repeats recipes; then space.py, study.py, search.py.
"""
