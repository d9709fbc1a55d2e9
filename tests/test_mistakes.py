"""One clear line for each mistake, exit code 2, and nothing changed.

pytest tests/test_mistakes.py -rP | grep '^|'     # what a user types, and the line that a user gets
"""

import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY_RECIPE, Run

FIT = "fit --config tiny.yaml"
SWEEP = "sweep --config tiny.yaml --space space.yaml"

MISTAKES: list[tuple[str, str]] = [
    # where a name belongs
    (
        "test quick",
        "unrecognized arguments: quick (put --config before a recipe, --ckpt_path before a run, --runs before a folder"
        " of runs)",
    ),
    ("fit quick --lr 0.1", "unrecognized arguments: quick (put --config before a recipe, --ckpt_path before a run"),
    ("list my_runs", "unrecognized arguments: my_runs (put --config before a recipe, --ckpt_path before a run"),
    ("test --runs nowhere --ckpt_path cnn", "There is no folder nowhere; --runs takes the folder of all runs."),
    ("repeat RUN", "unrecognized arguments: RUN (put --config before a recipe"),
    ("quick", "(did you mean fashion-lightning fit --config quick?)"),
    ("--config quick", "a command comes first: fashion-lightning fit --config quick"),
    ("train", "(did you mean fashion-lightning fit?)"),
    ("tset --ckpt_path RUN", "there is no command 'tset'; choose from fit, validate, test, predict, repeat, sweep"),
    ("tset --ckpt_path RUN", "(did you mean fashion-lightning test?)"),
    ("quik", "(did you mean fashion-lightning fit --config quick?)"),
    # checkpoints
    ("test", "test needs a trained checkpoint: fashion-lightning test --ckpt_path RUN. Your newest run: RUN"),
    ("validate --checkpoint RUN", "validate needs a trained checkpoint: fashion-lightning validate --ckpt_path RUN"),
    ("test --ckpt_path", "argument --ckpt_path: expected one argument"),
    ("test --ckpt_path tinny", "no run folder or checkpoint at tinny (did you mean tiny?). Your newest run: RUN"),
    ("test --ckpt_path text.ckpt", "text.ckpt cannot be used: it is not a whole checkpoint file (file is not a zip"),
    ("test --ckpt_path ./tiny.yaml", "(file is not a zip file); name a run, a .ckpt or a .safetensors file."),
    ("fit --ckpt_path RUN --trainer.max_epochs 4 --model.network.init_args.stem 8", "size mismatch for network"),
    (
        "fit --ckpt_path RUN --epochs 4 --runs other",
        "RUN does not belong to a run of yours, so it cannot be continued.",
    ),
    ("fit --ckpt_path RUN --epochs 3 --seed 5", "--seed cannot change from 0 to 5"),
    ("fit --ckpt_path RUN --trainer.fast_dev_run 2", "--trainer.fast_dev_run cannot change from False to 2"),
    # flags
    (f"{FIT} --learning-rate 0.1", "unrecognized arguments: --learning-rate (did you mean --lr?)"),
    (f"{FIT} --max_epochs 3", "(did you mean --trainer.max_epochs?)"),
    (f"{FIT} --folder pictures", "unrecognized arguments: --folder (did you mean --data.folder?)"),
    ("compare tiny --latex", "unrecognized arguments: --latex (did you mean --format latex?)"),
    (f"{FIT} --trainer.barebones true", "unrecognized arguments: --trainer.barebones"),
    ("test --ckpt_path RUN --note later", "unrecognized arguments: --note (another command takes it)"),
    # values
    (f"{FIT} --batch_size 0", "error: --batch_size must be at least 1"),
    (f"{FIT} --config quikc", "There is no config file quikc (did you mean quick?)"),
    (f"{FIT} --trainer.logger+=CSVLogger", "save_dir must be given: --trainer.logger.init_args.save_dir"),
    ("predict --ckpt_path RUN --output /proc/x.csv", "No such file or directory: /proc/x.csv"),
    (f"{FIT} --trainer.callbacks+=TQDMProgressBar", "cannot hold Lightning's TQDMProgressBar: `fit` replaces it"),
    (f"{FIT} --lr --epochs 3", "--lr needs a value after it"),
    (f"{FIT} --lr fast", "lr=fast cannot be used: --lr: Expected a number"),
    (f"{FIT} --lr=-0.1", "The optimizer's learning rates must be finite and at least 0, not -0.1"),
    (f"{FIT} --epochs 1.5", "--epochs: 1.5 cannot be used: Expected a whole number"),
    (f"{FIT} --epochs 0", "--epochs: 0 cannot be used: must be above 0"),
    (f"{FIT} --trainer.accumulate_grad_batches=-1", "--trainer.accumulate_grad_batches: must be above 0"),
    (f"{FIT} --trainer.gradient_clip_val=.nan", "--trainer.gradient_clip_val: .nan cannot be used"),
    (f"{FIT} --trainer.limit_train_batches=0", "trainer.limit_train_batches must be above 0, not 0."),
    (f"{FIT} --trainer.limit_train_batches=0.0001", "Please increase the `limit_train_batches` argument"),
    (f"{FIT} --trainer.val_check_interval=1000000", "must be less than or equal to the number of the training batches"),
    (f"{FIT} --early_stopping.patience=-1", "--early_stopping.patience: -1 cannot be used: must be at least 0"),
    (
        f"{FIT} --best_checkpoint.monitor val/acc",
        "--best_checkpoint.monitor: nothing logs val/acc. Choose one of val/loss,",
    ),
    (f"{FIT} --precision half", "--precision: half cannot be used: Expected one of ['32-true', 'bf16-mixed'"),
    (f"{FIT} --seed true", "--seed: Expected a whole number from 0 to 4294967295"),
    (f"{FIT} --flip both", "--flip: Expected one of ['none', 'random', 'alternating']"),
    (f"{FIT} --batch_size 501", "only 500 training images"),
    (f"{FIT} --name ''", "--name: needs one line of 1 to 60 printable characters"),
    (f"{FIT} --trainer.max_epochs=-1 --trainer.max_time=00:01:00:00", "needs the length of the run"),
    (f"{FIT} --runs /proc/logs", "No run folder can be made in"),
    (f"{FIT} --runs=", "--runs: needs one line of 1 to 4096 printable characters"),
    ("predict --ckpt_path RUN --output predictions.xlsx", "--output must end in .csv or .json, not 'predictions.xlsx'"),
    ("sweep --config tiny.yaml --space space.yaml --storage mysql://host/base", "--storage cannot be used: No module"),
    (
        "sweep --config tiny.yaml --space short.yaml",
        "short.yaml: unrecognized arguments: --model.optimizer.lr (did you",
    ),
    (
        "sweep --config tiny.yaml --space space.yaml --data.val_size 20",
        "20 validation images are too few to compare runs by",
    ),
    (f"{FIT} --devices 100000", "--devices 100000: "),
    (f"{FIT} --runs s3://bucket", "--runs must be a folder on this machine, not s3://bucket"),
    ("repeat --config quick --seeds 0", "argument --seeds: must be a whole number of at least 1, not '0'"),
    # files
    (
        "fit --config configs/quik.yaml",
        "There is no config file configs/quik.yaml; the recipes and presets are: accurate, cnn",
    ),
    ("fit --config tiny", "There is no config file tiny (did you mean tiny.yaml?)"),
    ("fit --config broken.yaml", "broken.yaml is not valid YAML"),
    ("fit --config tab.yaml", "cannot start any token"),
    ("fit --config pair.yaml", "found unhashable key"),
    ("fit --config odd.yaml", "odd.yaml is not valid YAML"),
    ("fit --config list.yaml", "list.yaml is not a config"),
    ("fit --config flat.yaml", "flat.yaml: `data:` must hold settings, not 3"),
    ("fit --config tiny.yaml --config outer.yaml", "outer.yaml: --config belongs on the command line, not in a config"),
    ("fit --config checkpoint.yaml", "checkpoint.yaml: --ckpt_path belongs on the command line"),
    ("fit --config section.yaml", "setting 'trianer' is not accepted (did you mean trainer?)"),
    ("fit --config key.yaml", "setting 'trainer.max_epoch' is not accepted (did you mean trainer.max_epochs?)"),
    ("fit --config argument.yaml", "setting 'learning_rate' is not accepted (did you mean lr?)"),
    ("fit --config stopping.yaml", "trainer.callbacks cannot hold Lightning's EarlyStopping: `fit` replaces it, or"),
    (
        "fit --config logger.yaml",
        "trainer.logger cannot hold Lightning's TensorBoardLogger: `fit` replaces it",
    ),
    # classes
    (f"{FIT} --optimizer adamm", "there is no optimizer adamm (known names: adadelta, "),
    (f"{FIT} --network MyNetwork", "any other by its class path: my_module.MyNetwork"),
    (f"{FIT} --network bad.py", "bad.py is a file; name the class in it, such as bad.MyNetwork"),
    (
        f"{FIT} --network torch.nn.Linear",
        "in_features must be given: --model.network.init_args.in_features",
    ),
    (
        f"{FIT} --network no_such.MyNetwork",
        "there is no module no_such: it must be installed, or be the file no_such.py in the folder",
    ),
    (f"{FIT} --network unfinished_net.Net", "SyntaxError: '(' was never closed (unfinished_net.py, line 1)"),
    (f"{FIT} --network ends_python.Net", "ends_python.py, line 2)"),
    (f"{FIT} --network torch.ao.nn.quantized.Linear", "in_features must be given: --model.network"),
    (f"{FIT} --optimizer subprocess.Popen", "Importing 'subprocess.Popen' is not allowed"),
    (f"{FIT} --network wide_resnet --model.network.init_args.depth 5", "ValueError: depth must be 6n + 4"),
    (f"{FIT} --network tests.networks.FailsToRun", "tests/networks.py, line"),
    (f"{FIT} --network torch.nn.Identity", "must return logits of shape (B, 10)"),
    (f"{FIT} --model.loss torch.nn.MSELoss", "model.loss MSELoss cannot take logits (B, 10) and labels (B,): "),
    (
        f"{FIT} --model.loss torch.nn.CrossEntropyLoss --model.loss.init_args.reduction none",
        "model.loss CrossEntropyLoss must return one finite number with a gradient for logits (B, 10) and labels (B,)",
    ),
    (
        f"{FIT} --model.loss torch.nn.AdaptiveLogSoftmaxWithLoss --model.loss.init_args.in_features 10"
        " --model.loss.init_args.n_classes 10 --model.loss.init_args.cutoffs [5]",
        "model.loss must have no weights: register its buffers with persistent=False.",
    ),
    (
        f"{FIT} --model.loss torch.nn.MultiMarginLoss --model.label_smoothing 0.1",
        "not to model.loss MultiMarginLoss: add --",
    ),
    (f"{FIT} --model.loss torch.nn.MultiMarginLoss --model.loss.init_args.margin .inf", "labels (B,), not tensor(inf"),
    # a run that goes on
    (
        "fit --ckpt_path RUN --lr 0.3",
        "--lr would change nothing: RUN/checkpoints/last.ckpt has",
    ),
    ("fit --ckpt_path RUN --trainer.max_epochs 3 --data.val_size 50", "--data.val_size cannot change from 100 to 50"),
    ("fit --ckpt_path RUN --trainer.max_epochs 3 --model.scheduler null", "--model.scheduler cannot change from"),
    ("fit --ckpt_path RUN --trainer.max_epochs 3 --optimizer adamw", "--optimizer cannot change from"),
    ("fit --ckpt_path RUN --epochs 3 --best_checkpoint.monitor=val/loss", "--best_checkpoint cannot change from"),
    ("fit --ckpt_path RUN --config presets/find_lr", "presets/find_lr would spoil the run: leave --ckpt_path out."),
    ("validate --ckpt_path RUN --data.val_size=300", "cannot change from 100 to 300"),
    ("test --ckpt_path RUN --data.val_size=300", "cannot change from 100 to 300"),  # the temperature is fitted on them
    # many fits
    ("repeat --config tiny.yaml --seeds many", "must be a whole number of at least 1"),
    (
        "repeat --config tiny.yaml --folds 5 --seeds 3",
        "--folds trains one fit for each fold, with a seed of its own: leave",
    ),
    ("repeat --config tiny.yaml --folds 5 --fold 2/5", "with a seed of its own: leave --seeds and --fold out"),
    ("repeat --config tiny.yaml --seed_everything 3", "leave --seed_everything out."),
    ("repeat --ckpt_path=RUN", "leave --ckpt_path out."),
    ("repeat --config tiny.yaml --data.batch_sise 3", "batch_sise"),
    ("repeat --config tiny.yaml --trainer.fast_dev_run true", "leave trainer.fast_dev_run out"),
    (f"{SWEEP} --space missing.yaml", "No such file or directory: missing.yaml"),
    (f"{SWEEP} --trials 0", "must be a whole number of at least 1"),
    (f"{SWEEP} --pruner half", "'half'"),
    (f"{SWEEP} --seed 3", "leave --seed out."),
    (f"{SWEEP} --ckpt_path tiny", "leave --ckpt_path out."),
    (f"{SWEEP} --weights RUN", "leave --weights out."),
    (f"{SWEEP} --storage postgres://host/base", "--storage cannot be used: Can't load plugin"),
    (f"{SWEEP} --study a/b", "The study cannot be called 'a/b'"),
    (f"{SWEEP} --lr 0.1", "is both in space.yaml and typed: leave one of them out."),
    (f"{SWEEP} --storage nonsense", "--storage must be a database address such as"),
    (f"{SWEEP} --space wide.yaml", "wide.yaml: data.shift must be at least 0 and below 28, not 28"),
    (
        "fit --config tiny.yaml --config presets/find_lr --trainer.callbacks.init_args.steps=5",
        "at least 30 steps",
    ),
    ("fit --config tiny.yaml --config presets/find_lr --trainer.accumulate_grad_batches=2", "leave out accumulate"),
    ("fit --config tiny.yaml --config presets/find_lr --trainer.logger=false", "and `logger: false`, and train long"),
    # a fit that fails in its first step leaves no run folder
    (f"{FIT} --network mlp --model.network.init_args.batch_norm=true --batch_size 1", "Expected more than 1 value per"),
    # results
    ("test --ckpt_path RUN --output text.ckpt", "text.ckpt/results.json cannot be written"),
    ("compare nowhere --output out", "None of these folders holds the results of a run (nowhere: does not exist)."),
    ("export --ckpt_path nothing --output notes.txt", "must end in .onnx or .pt2 or .html or .safetensors, not"),
    ("export --ckpt_path nothing --output ''", "needs the name of a file"),
    (
        "export --ckpt_path nothing --output text.ckpt/model.onnx",
        "text.ckpt/model.onnx cannot be written: no file can be created in",
    ),
    (f"export --ckpt_path nothing --output {'long' * 100}.onnx", "too long"),
    # what a terminal cannot show
    ("fit --config ./..yaml", "cannot be called"),
    ("fit --config './\x1b[31m.yaml'", "cannot be called"),
    ("fit --config ./-x.yaml", "cannot be called"),
    ("fit --config '\x1b[31mred.yaml'", r"There is no config file \x1b[31mred.yaml"),
    (f"fit --config {'long' * 10_000}", " … "),
]


@pytest.mark.usefixtures("recipe")
@pytest.mark.parametrize(("typed", "line"), MISTAKES, ids=lambda text: text[:80])
def test_a_mistake_gets_one_line_and_changes_nothing(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, typed: str, line: str
) -> None:
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    stopping = "{class_path: lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: val/loss}}"
    logger = "  logger: [{class_path: lightning.pytorch.loggers.TensorBoardLogger, init_args: {save_dir: logs}}]\n"
    for name, old, new in (
        ("section", "trainer:", "trianer:"),
        ("key", "max_epochs:", "max_epoch:"),
        ("argument", "fashion_lightning.optimizers.Muon", "torch.optim.Adam\n    init_args: {learning_rate: 0.1}"),
        ("tab", "\n  network:", "\n\tnetwork:"),
        ("checkpoint", "trainer:", "ckpt_path: tiny\ntrainer:"),
        ("stopping", "trainer:\n", f"trainer:\n  callbacks: [{stopping}]\n"),
        ("logger", "trainer:\n", f"trainer:\n{logger}"),
    ):
        Path(f"{name}.yaml").write_text(TINY_RECIPE.replace(old, new))
    for name, text in (
        *(("broken", "model: ["), ("list", "- model"), ("flat", "data: 3"), ("outer", "config: broken.yaml")),
        *(("space", "lr: {low: 3e-4, high: 0.1, log: true}"), ("wide", "data.shift: {low: 0, high: 28}")),
        *(("short", "model.optimizer.lr: {low: 0.1, high: 0.2}"), ("pair", "[a, b]: 1"), ("odd", "a: !!timestamp x")),
        *((name, TINY_RECIPE) for name in (".", "\x1b[31m", "-x")),
    ):
        Path(f"{name}.yaml").write_text(text)
    Path("ends_python.py").write_text("import sys\nsys.exit(0)\n")
    Path("text.ckpt").write_text("not a checkpoint")
    Path("unfinished_net.py").write_text("class Net(\n")
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file() and path.suffix != ".pyc"}
    printed = cli(*shlex.split(typed.replace("RUN", str(trained))), exits=2)
    (error,) = [text for text in printed.splitlines() if text.startswith("error: ")]
    assert line.replace("RUN", str(trained)) in error or line in error
    assert error.isprintable()
    assert "Traceback" not in printed
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert after == before  # not even a new run folder
    print(f"| `fashion-lightning {typed}` | {error} |")
