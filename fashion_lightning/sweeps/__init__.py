"""A search over settings, on Optuna: what is searched, the study that workers share, and what comes of it."""
