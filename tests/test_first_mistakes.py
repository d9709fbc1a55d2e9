"""What newcomers get wrong first: each mistake gets one line that says what to type, and changes nothing.

pytest tests/test_first_mistakes.py -rP | grep '^|'     # what a user types, and the line that a user gets
"""

import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY_RECIPE, Run

FIT = "fit --config tiny.yaml"

MISTAKES: list[tuple[str, str]] = [
    # where a name belongs
    ("test quick", "test takes its run after --ckpt_path: fashion-lightning test --ckpt_path quick"),
    ("test tensorboard_logs/quick/version_0", "fashion-lightning test --ckpt_path tensorboard_logs/quick/version_0"),
    ("predict RUN --images a.png", "fashion-lightning predict --ckpt_path RUN --images a.png"),
    ("fit quick --lr 0.1", "fit takes its recipe after --config: fashion-lightning fit --config quick --lr 0.1"),
    ("fit RUN", "fit takes its run after --ckpt_path: fashion-lightning fit --ckpt_path RUN"),
    ("repeat RUN", "repeat takes a recipe, not a run: fashion-lightning repeat --config RECIPE"),
    (f"{FIT} 3", "unrecognized arguments: 3 (every setting begins with --"),
    ("quick", "(did you mean fashion-lightning fit --config quick?)"),
    ("--config quick", "a command comes first: fashion-lightning fit --config quick"),
    # commands and flags of other programs
    ("train", "(did you mean fashion-lightning fit?)"),
    ("tets", "(did you mean fashion-lightning test?)"),
    ("resume", "(did you mean fashion-lightning fit --ckpt_path RUN?)"),
    ("test --ckpt RUN", "test has no --ckpt (did you mean --ckpt_path?)"),
    ("validate --checkpoint RUN", "validate has no --checkpoint (did you mean --ckpt_path?)"),
    (f"{FIT} --learning-rate 0.1", "unrecognized arguments: --learning-rate 0.1 (did you mean --lr?)"),
    (f"{FIT} --batch-size 3", "(did you mean --batch_size?)"),
    (f"{FIT} --max_epochs 3", "(did you mean --trainer.max_epochs?)"),
    (f"{FIT} --gpus 1", "(did you mean --devices?)"),
    (f"{FIT} --val_size 100", "(did you mean --data.val_size?)"),
    (f"{FIT} --model.lr 0.1", "(did you mean --lr?)"),
    (f"{FIT} --data.batchsize 3", "(did you mean --data.batch_size?)"),
    # values
    (f"{FIT} --lr", "--lr needs a value after it"),
    (f"{FIT} --lr --epochs 3", "--lr needs a value after it"),
    (f"{FIT} --lr fast", "lr=fast cannot be used. --lr: Expected a number"),
    (f"{FIT} --lr=-0.1", "lr must not be below 0"),
    (f"{FIT} --epochs 1.5", "--trainer.max_epochs: 1.5 cannot be used. Expected a whole number"),
    (f"{FIT} --epochs three", "--trainer.max_epochs: three cannot be used. Expected a whole number"),
    (f"{FIT} --batch_size 3.5", "--data.batch_size: Expected a whole number"),
    (f"{FIT} --seed true", "--seed_everything: Expected a whole number from 0 to 4294967295"),
    (f"{FIT} --flip both", "--data.flip: Expected one of ['none', 'random', 'alternating']"),
    (f"{FIT} --devices two", "`devices` selected with `CPUAccelerator` should be an int > 0"),
    (f"{FIT} --model.network.init_args.widths 32", "--widths: Expected a list, as [32, 64]"),
    # files
    ("fit --config configs/quik.yaml", "There is no config file configs/quik.yaml (did you mean quick?)"),
    ("fit --config network.yaml", "setting 'model.netwrok' is not accepted (did you mean model.network?)"),
    ("fit --config section.yaml", "setting 'trianer' is not accepted (did you mean trainer?)"),
    ("fit --config short.yaml", "setting 'trainer.epochs' is not accepted (did you mean trainer.max_epochs?)"),
    ("fit --config key.yaml", "setting 'trainer.max_epoch' is not accepted (did you mean trainer.max_epochs?)"),
    ("fit --config argument.yaml", "setting 'learning_rate' is not accepted (did you mean lr?)"),
    ("fit --config tab.yaml", "It is indented with spaces, not with tabs"),
    (
        "fit --config class.yaml",
        "fashion_lightning.networks has no CNNN (did you mean fashion_lightning.networks.CNN?)",
    ),
    # runs
    ("test --ckpt_path tinny", "no run folder or checkpoint at tinny (did you mean tiny?). Your newest run: RUN"),
    ("test --ckpt_path tensorboard_logs/tiny/version_9", "Your newest run: RUN"),
    ("fit --ckpt_path tiny --config quick", "do not fit this network"),
    # classes
    (f"{FIT} --optimizer adamm", "there is no optimizer adamm (did you mean adam?"),
    (f"{FIT} --optimizer torch.optim.Addam", "torch.optim has no Addam (did you mean torch.optim.Adam?)"),
    (f"{FIT} --network MyNetwork", "goes by its class path: my_module.MyNetwork"),
    (f"{FIT} --network no_such.MyNetwork", "there is no module no_such: it must be installed, or lie as no_such.py in"),
    (f"{FIT} --network own_nets.Wrong", "own_nets has no Wrong (did you mean own_nets.Wrongly?)"),
    (f"{FIT} --network own_nets.NUMBER", "own_nets.NUMBER is no class of that kind (Module)"),
    (f"{FIT} --network unfinished_net.Net", "SyntaxError: '(' was never closed (unfinished_net.py, line 1)"),
    (f"{FIT} --trainer.callbacks NoSuch", "there is no class NoSuch by that name"),
    (f"{FIT} --trainer.logger WandbLogger", "Instead, leave trainer.logger as it is"),
    # the other commands
    ("list --all", "unrecognized arguments: --all"),
    ("completion", "the following arguments are required: SHELL"),
    ("repeat --config quick --seed 3", "leave --seed_everything out"),
    (f"{FIT} --name ''", "--name needs one line of 1 to 60 printable characters"),
    ("test --ckpt_path RUN --note later", "unrecognized arguments: --note later (another command takes it)"),
]


@pytest.mark.usefixtures("recipe")
@pytest.mark.parametrize(("typed", "line"), MISTAKES)
def test_the_line_says_what_to_type(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, typed: str, line: str
) -> None:
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    for name, old, new in (
        ("network", "network:", "netwrok:"),
        ("section", "trainer:", "trianer:"),
        ("short", "max_epochs:", "epochs:"),
        ("key", "max_epochs", "max_epoch"),
        ("argument", "fashion_lightning.optimizers.Muon", "torch.optim.Adam\n    init_args: {learning_rate: 0.1}"),
        ("tab", "\n  network:", "\n\tnetwork:"),
        ("class", "networks.CNN", "networks.CNNN"),
    ):
        Path(f"{name}.yaml").write_text(TINY_RECIPE.replace(old, new))
    Path("own_nets.py").write_text("class Wrongly: ...\nNUMBER = 3\n")
    Path("unfinished_net.py").write_text("class Net(\n")
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.suffix != ".pyc"}
    printed = cli(*shlex.split(typed.replace("RUN", str(trained))), exits=2)
    (error,) = [text for text in printed.splitlines() if text.startswith("error: ")]
    assert line.replace("RUN", str(trained)) in error or line in error
    assert "Traceback" not in printed
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.suffix != ".pyc"}
    assert {path for path in after.keys() ^ before.keys() if path.name != "__pycache__"} == set()
    print(f"| `fashion-lightning {typed}` | {error} |")
