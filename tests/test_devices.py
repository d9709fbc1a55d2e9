"""Several processes on this machine's CPU, started by Lightning and by torchrun."""

import csv
import hashlib
import json
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests import kills
from tests.conftest import RUN
from tests.interruption import wait_for

pytestmark = pytest.mark.slow

SEEN = """
from pathlib import Path
import torch.distributed as dist
from lightning import Callback

class Seen(Callback):
    "Writes down what each process trains on, and how often it waits for the others in batches 2 to 7."
    waits = 0

    def counted(self, asks):
        def ask(*args, **kwargs):
            self.waits += 1
            return asks(*args, **kwargs)
        return ask

    def on_train_start(self, trainer, pl_module):
        for name in ("broadcast", "broadcast_object_list", "all_reduce"):
            setattr(dist, name, self.counted(getattr(dist, name)))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 1:
            self.waits = 0
        if batch_idx == 7:
            Path(f"waits_{trainer.global_rank}.txt").write_text(str(self.waits))
        for index, image in zip(batch.indices.tolist(), batch.images):
            with Path(f"seen_{trainer.global_rank}.txt").open("a") as file:
                print(trainer.current_epoch, batch_idx, index, bytes(image.flatten().tolist()).hex(), file=file)
"""

Launch = Callable[..., list["subprocess.Popen[str]"]]


@pytest.fixture
def launch(command_on_generated_data: list[str]) -> Launch:
    """Starts a command on some nodes, with some processes on each."""

    def start(arguments: Sequence[str | Path], processes: int, nodes: int = 0) -> list["subprocess.Popen[str]"]:
        python, script = command_on_generated_data
        devices = ["--trainer.accelerator=cpu", f"--trainer.devices={processes}"]
        commands = [[python, script, *map(str, arguments), *devices]]
        if nodes:
            with socket.create_server(("127.0.0.1", 0)) as free:
                place = ["--master-addr=127.0.0.1", f"--master-port={free.getsockname()[1]}"]
            torchrun = [python, "-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={processes}"]
            what = [script, *map(str, arguments), *devices, f"--trainer.num_nodes={nodes}"]
            commands = [[*torchrun, f"--node-rank={node}", *place, *what] for node in range(nodes)]
        return [
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            for command in commands
        ]

    return start


def finished(started: Sequence["subprocess.Popen[str]"], code: int = 0) -> str:
    """Return what they printed; the first must have ended with this exit code."""
    ended = [process.communicate(timeout=120) for process in started]
    printed = "".join(out + err for out, err in ended)
    assert started[0].returncode == code, printed
    return printed


def test_two_processes_share_one_run_folder_however_they_are_started(recipe: Path, launch: Launch) -> None:
    printed = finished(launch(["fit", "--config", recipe], 2))
    assert [path.name for path in RUN.parent.iterdir()] == ["version_0"]
    assert printed.count("Best checkpoint") == 1
    fit = json.loads((RUN / "fit.json").read_text())
    assert (fit["steps"], fit["processes"]) == (10, 2)  # half as many, of twice the images
    assert len(list(RUN.glob("events.out.tfevents.*"))) == 1
    printed = finished(launch(["fit", "--config", recipe], 1, nodes=2))
    assert printed.count("Best checkpoint") == 1
    assert kills.fingerprint(RUN) == kills.fingerprint(RUN.with_name("version_1"))


def test_two_processes_count_every_image_once(trained: Path, launch: Launch) -> None:
    finished(launch(["test", "--ckpt_path", trained], 2))
    assert json.loads((trained / "test_best.json").read_text())["images"] == 100
    assert "100 predictions" in finished(launch(["predict", "--ckpt_path", trained], 2))
    rows = list(csv.reader((trained / "predictions.csv").read_text().splitlines()))
    assert [row[0] for row in rows[1:]] == [str(index) for index in range(100)]
    Image.new("L", (28, 28)).save("black.png")
    picture = ["predict", "--ckpt_path", trained, "--images", "black.png"]
    assert "1 prediction written" in finished(launch(picture, 2))  # fewer pictures than processes


def test_any_number_of_processes_sees_the_same_pictures_in_the_same_steps(recipe: Path, launch: Launch) -> None:
    Path("seen.py").write_text(SEEN)
    hashes = set()
    for processes in (1, 3):
        size = f"--data.batch_size={66 // processes}"  # 500 images: the last step has 38, not divisible by three
        callback = "--trainer.callbacks+=seen.Seen"
        finished(launch(["fit", "--config", recipe, size, callback, "--trainer.max_epochs=1"], processes))
        lines = [line for path in Path().glob("seen_*.txt") for line in path.read_text().splitlines()]
        assert len(lines) == 500
        hashes.add(hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest())
        for path in Path().glob("seen_*.txt"):
            path.unlink()
        assert {path.read_text() for path in Path().glob("waits_*.txt")} == {"0"}
    assert len(hashes) == 1


def test_an_error_of_all_processes_is_printed_once(recipe: Path, launch: Launch) -> None:
    for wrong, nodes, code in (
        *(("--trainer.val_check_interval=1000000", nodes, code) for nodes, code in ((0, 2), (1, 1))),
        *((wrong, 1, 1) for wrong in ("--lr=fast", "--data.root=nowhere")),
    ):
        started = launch(["fit", "--config", recipe, wrong], 2, nodes)
        assert [line[:7] for line in finished(started, code).splitlines()].count("error: ") == 1


LONG = ["--trainer.max_epochs=2000", "--early_stopping.patience=2000", "--pictures=false"]


def test_a_signal_to_one_process_stops_all_after_the_same_step(recipe: Path, launch: Launch) -> None:
    started = launch(["fit", "--config", recipe, *LONG], 2)
    wait_for((RUN / "checkpoints/best.ckpt").exists, started[0])
    kills.processes_of(started[0])[1].terminate()
    printed = finished(started, code=143)
    assert printed.count(f"Interrupted. Continue with: fashion-lightning fit --ckpt_path {RUN}") == 1
    assert "Traceback" not in printed
