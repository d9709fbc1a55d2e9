"""``fit``: train, or continue training. ``run`` calls ``fit``, ``validate``, ``test`` or ``predict``."""

import contextlib
import io
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer

from fashion_lightning.callbacks.stopping import Interrupted
from fashion_lightning.callbacks.terminal import print_layers
from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.commands import SHORT_NAMES
from fashion_lightning.cli.evaluate import predict, test, validate
from fashion_lightning.cli.messages import silence_what_is_not_news
from fashion_lightning.cli.parser import CLASSES, class_names
from fashion_lightning.data.seeding import run_seed
from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import write_json
from fashion_lightning.report.page import percent
from fashion_lightning.runs import continuing, folder, processes, progress, results
from fashion_lightning.runs.checkpoint import Checkpoint


def run(given: Namespace, settings: Sequence[str]) -> None:
    """Run ``fit``, ``validate``, ``test`` or ``predict``; only the first process prints, but all report errors."""
    silence_what_is_not_news()
    with contextlib.nullcontext() if processes.is_first_process() else contextlib.redirect_stdout(io.StringIO()):
        try:
            is_config = any(setting.startswith("--print_config") for setting in settings)
            with contextlib.redirect_stdout(sys.stderr if is_config else sys.stdout):  # print nothing but the config
                completed = complete(given, settings)
            RUNS[given.command](FashionMNISTCLI(given, *completed))
        finally:
            is_connected = torch.distributed.is_available() and torch.distributed.is_initialized()
            if is_connected and (processes.is_first_process() or not isinstance(sys.exception(), Exception)):
                torch.distributed.destroy_process_group()  # otherwise its threads may abort the process at its end


def fit(cli: FashionMNISTCLI) -> None:
    """Train, or continue training; then print the results and the next commands."""
    goes_on = cli.checkpoint is not None and cli.checkpoint.in_place
    is_first = cli.trainer.is_global_zero
    if cli.checkpoint is not None and cli.finished:
        before, now = map(results.recipe_settings, (cli.checkpoint.settings, cli.plain_config))
        if changed := [key for key in now if key.startswith(("model.", "data.")) and now[key] != before.get(key)]:
            raise UserError(f"--{changed[0]} would change nothing: {cli.finished}")
        print(cli.finished)
        # A kill left no report: write it. With other limits typed, such as fewer epochs, the run may be unfinished.
        if goes_on and cli.run_dir and is_first and before == now and not results.has_report(cli.run_dir):
            _report(cli, cli.run_dir, continuing.report_of(cli.checkpoint))
        return
    if goes_on and cli.run_dir:
        _keep_threads(cli.run_dir)
    _print_start(cli.checkpoint, cli.trainer, cli.run_dir)
    if cli.checkpoint is None or cli.given.layers:
        print_layers(cli.model, cli.given.layers)
    try:
        cli.start("fit")
    except (UserError, OSError, SystemExit) as error:
        last = _last_of(cli)
        if is_first and last is None and cli.run_dir and cli.run_dir_is_new:
            folder.discard_run(cli.run_dir)  # a new run that failed at once leaves no folder
        if isinstance(error, SystemExit) or not is_first or last is None:
            raise
        raise UserError(f"{error} The last good checkpoint: {last}") from error
    except Interrupted as interrupted:
        if is_first and cli.run_dir:
            print(f"Interrupted. Continue with: fashion-lightning fit --ckpt_path {folder.as_typed(cli.run_dir)}")
        # Lightning kills the first process if another one fails; so the others exit with 0.
        raise SystemExit(interrupted.exit_code if is_first else 0) from None
    if cli.run_dir and is_first:
        metrics = {
            "epochs": cli.trainer.current_epoch,
            "steps": cli.trainer.global_step,
            "fit_seconds": cli.timer.time_elapsed("train"),
            "best": cli.config_init["best_checkpoint"].best_metrics,
        }
        _report(cli, cli.run_dir, metrics)


def _last_of(cli: FashionMNISTCLI) -> Path | None:
    """Return the checkpoint from which a failed fit can continue; ``None`` if the fit made no progress."""
    last = cli.run_dir / "checkpoints" / "last.ckpt" if cli.run_dir else None
    began = (cli.checkpoint.steps_done if cli.checkpoint else 0) if cli.run_dir_is_new else None
    return last if last and last.is_file() and cli.trainer.global_step != began else None


def _keep_threads(run_dir: Path) -> None:
    """Use as many threads as the run began with, or print why not: they decide the order, and last bits, of sums."""
    begun, cores = progress.read_progress(run_dir), os.cpu_count() or 1
    if begun is None or begun.threads in (0, torch.get_num_threads()):
        return
    if "OMP_NUM_THREADS" not in os.environ and begun.threads <= cores:
        torch.set_num_threads(begun.threads)
    else:
        print(
            f"The run began with {begun.threads} threads and goes on with {torch.get_num_threads()} (OMP_NUM_THREADS or"
            " the machine's cores): the last bits of its sums, and so its weights, will differ."
        )


def _print_start(checkpoint: Checkpoint | None, trainer: Trainer, run_dir: Path | None) -> None:
    """Print where a fit writes, its precision and seed, and from where it continues."""
    several = f"   processes: {trainer.world_size}" if trainer.world_size > 1 else ""
    print(
        f"Run folder: {run_dir or 'none, nothing is saved (fast_dev_run)'}   precision: {trainer.precision}"
        f"   seed: {run_seed()}{several}"
    )
    if checkpoint is not None:
        begun, batches = checkpoint.loop["epoch_progress"]["current"]["started"], checkpoint.batches_of_epoch_done
        place = (
            f"in epoch {begun}, after {batches} batches of it"
            if batches
            else f"after {begun} epoch{'s' if begun != 1 else ''}"
        )
        print(f"Continuing {checkpoint.path} {place}.")


def _report(cli: FashionMNISTCLI, run_dir: Path, metrics: dict[str, Any]) -> None:
    """Write fit.json, and print the results and the next commands."""
    about = {
        "recipe": cli.name,
        "seed": run_seed(),
        "fold": cli.config["data"]["fold"],
        "processes": cli.trainer.world_size,
        "parameters": sum(p.numel() for p in cli.model.network.parameters()),
    }
    write_json(run_dir / "fit.json", about | metrics)
    best, epochs, last = metrics["best"], metrics["epochs"], run_dir / "checkpoints/last.ckpt"
    print(f"\n{epochs} epoch{'s' if epochs != 1 else ''} in {metrics['fit_seconds']:.0f} s")
    if best:
        print(f"Best checkpoint   {last.with_name('best.ckpt')} (epoch {best['epoch'] + 1:.0f} of {epochs})")
    if "val/loss" in best:  # missing if a metric of training chose an epoch without validation
        accuracy, top5 = percent(best["val/accuracy"]), percent(best["val/top5"])
        print(f"Validation        accuracy {accuracy}   top-5 {top5}   loss {best['val/loss']:.4f}")
    if best or last.is_file():  # without validation there is no best one
        print(f"Test it           fashion-lightning test --ckpt_path {folder.as_typed(run_dir if best else last)}")
    if cli.trainer.loggers:
        print(f"See its curves    tensorboard --logdir {shlex.quote(str(run_dir.parent.parent))}", flush=True)


def print_settings(command: str) -> None:
    """Print all settings of a command, with jsonargparse's descriptions, and end the program."""
    silence_what_is_not_news()
    print("short names:\n" + "".join(f"  {short:16}{setting}\n" for short, setting in SHORT_NAMES.items()))
    for setting in CLASSES:
        print(f"{setting}: {', '.join(class_names(setting).values())}, or the path of another class\n")
    FashionMNISTCLI(Namespace(command=command), ["--help"], "", None, None)


RUNS = {"fit": fit, "validate": validate, "test": test, "predict": predict}
