"""How the metric that a sweep goes by is shown."""


def shown(metric: str, value: float) -> str:
    """``validation accuracy 91.23 %``, ``validation loss 0.2345``."""
    return f"{title(metric)} {number(metric, value)}"


def title(metric: str) -> str:
    """``val/top5`` → ``validation top-5``."""
    stage, _, name = metric.partition("/")
    stage = {"val": "validation", "train": "training"}.get(stage, stage)
    return f"{stage} {name.replace('top5', 'top-5')}"


def number(metric: str, value: float) -> str:
    """A share in percent, a loss as it is."""
    return f"{value:.4f}" if metric.endswith("loss") else f"{100 * value:.2f} %"
