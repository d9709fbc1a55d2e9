"""Open hostile pickles as checkpoints, and count those that run code, write a file, hang or fill the memory.

    python benchmarks/hostile_files.py [FOLDER]

FOLDER holds any files, such as ``tests/data`` of picklescan. The script opens each unchanged, and again as
the pickle in an archive that ``torch.save`` wrote. It makes a hundred more: calls of functions that run code or take
memory, at four places of a valid checkpoint and written in two more ways; and deep, large or endless values. It opens
each in a new process, in which Python reports what is called (``sys.addaudithook``).
"""

import io
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from fashion_lightning import load
from fashion_lightning.errors import UserError
from fashion_lightning.networks import CNN
from fashion_lightning.runs.card import Card

SECONDS, MEGABYTES = 60, 2000
"""Limits of time and memory to refuse a file."""

HARM = (
    *("os.", "shutil.", "socket.", "subprocess.", "pty.", "ctypes.", "urllib.", "http.", "ftplib.", "smtplib."),
    *("webbrowser.", "code.", "cpython.run_", "builtins.input", "sqlite3.", "mmap.", "syslog.", "signal."),
)
"""Prefixes of audit events that no file may cause, besides compiling code from text and opening files to write."""

CALLED = {
    "os system": "touch harmed",
    "posix system": "touch harmed",
    "subprocess check_call": ["touch", "harmed"],
    "builtins eval": "open('harmed', 'w')",
    "builtins exec": "open('harmed', 'w')",
    "builtins open": "harmed",
    "builtins __import__": "antigravity",
    "builtins bytearray": 2**33,
    "torch FloatTensor": 2**33,
    "torch zeros": 2**33,
    "torch.serialization load": "honest.ckpt",
    "torch.hub load_state_dict_from_url": "http://127.0.0.1:9/",
    "numpy.core.multiarray scalar": 1,
    "fashion_lightning.cli main": ["--version"],
    "fashion_lightning.inference load": "honest.ckpt",
}
"""Functions to call, with an argument."""

ARGUMENTS = {"stem": 2, "widths": [2]}


def honest() -> dict[str, object]:
    """Return the content of a valid checkpoint."""
    weights = {f"network.{name}": tensor for name, tensor in CNN(stem=2, widths=[2]).state_dict().items()}
    card = Card({"class_path": "fashion_lightning.networks.CNN", "init_args": ARGUMENTS}, "tiny")
    return {"state_dict": weights, "fashion_lightning": {"card": card.to_json()}}


class Calls:
    """Pickles as a call of a function, which need not exist here."""

    def __init__(self, function: str, argument: object) -> None:
        self.function, self.argument = function, argument

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Named(self.function), (self.argument,)


class Named:
    """Pickles as the name of a function."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> None:
        """Do nothing; pickle needs a callable."""


PythonsOwn: Any = vars(pickle)["_Pickler"]
"""Python's pickler, not C's: only it can write names differently."""


class Pickler(PythonsOwn):  # type: ignore[misc]
    """Writes names of functions even if they do not exist here."""

    def save(self, value: object, save_persistent_id: bool = True) -> None:
        if isinstance(value, Named):
            self.write(f"c{value.name.replace(' ', chr(10))}\n".encode())
        else:
            super().save(value, save_persistent_id)


def pickled(value: object, protocol: int = 2) -> bytes:
    """Pickle a value; write names as in protocol 2."""
    content = io.BytesIO()
    Pickler(content, protocol).dump(value)
    return content.getvalue()


def made_here() -> Iterator[tuple[str, bytes]]:
    """Yield hostile pickles, each with a description."""
    for function, argument in CALLED.items():
        call = Calls(function, argument)
        for place in ("alone", "weights", "card", "beside"):
            at = {"weights": {"state_dict": {"network.x": call}}, "card": {"fashion_lightning": {"card": call}}}
            content = {**honest(), **at.get(place, {"callbacks": call})}
            weights = content["state_dict"] if place == "weights" else {}
            yield f"{function} {place}", pickled(call if place == "alone" else {**content, "state_dict": weights})
        module, name = function.split()
        stack = f"\x80\x04\x8c{chr(len(module))}{module}\x8c{chr(len(name))}{name}\x93".encode("latin1")
        yield f"{function} by the stack", stack + pickled((argument,), 0)[:-1] + b"R."
        yield f"{function} by INST", b"(" + pickled(argument, 0)[:-1] + f"i{module}\n{name}\n.".encode()
    yield "lists a million deep", b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b"."
    yield "a list that holds itself", b"\x80\x02]q\x00h\x00a."
    yield "tuples of tuples, 2**60 values", b"\x80\x02)" + b"q\x00h\x00\x86" * 60 + b"."
    yield "a billion bytes that are not there", b"\x80\x02B\x00\x00\x00\x7f."
    yield "a number of a million digits", b"\x80\x02\x8b" + (10**6).to_bytes(4, "little") + b"\x7f" * 10**6 + b"."
    yield "a memo of two billion places", b"\x80\x02Nr\xff\xff\xff\x7f."
    yield "numbers whose hashes collide", pickled({n * (2**61 - 1): 0 for n in range(50_000)})
    yield "no end", b"\x80\x02" + b"N0" * 10**6
    yield "an extension code", b"\x80\x02\x82\x01."
    yield "a persistent id", b"\x80\x02X\x04\x00\x00\x00evilQ."


def archive(content: bytes, path: Path) -> Path:
    """Write the valid checkpoint with another pickle."""
    with zipfile.ZipFile("honest.ckpt") as source, zipfile.ZipFile(path, "w") as target:
        for record in source.infolist():
            target.writestr(record.filename, content if record.filename.endswith("data.pkl") else source.read(record))
    return path


def open_in_a_child(path: Path) -> tuple[str, float, float]:
    """Open a file in a child process; return the outcome, the seconds, and the process's megabytes."""
    began, (read, write) = time.monotonic(), os.pipe()
    if not (child := os.fork()):
        signal.alarm(SECONDS)
        events: list[str] = []

        def hear(event: str, arguments: tuple[object, ...]) -> None:
            from_text = event == "compile" and arguments[1] == "<string>"
            to_write = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
            if from_text or to_write or (event.startswith(HARM) and not event.startswith(("os.putenv", "os.listdir"))):
                events.append(event)

        sys.addaudithook(hear)
        try:
            load(path)
            ended = "opened"
        except UserError:
            ended = "refused"
        except BaseException as error:  # a traceback is not a refusal
            ended = f"raised {type(error).__name__}"
        os.write(write, (f"harmed: {', '.join(events)}" if events else ended).encode())
        os._exit(0)
    os.close(write)
    _, status, used = os.wait4(child, 0)
    with os.fdopen(read) as pipe:
        ended = pipe.read() or f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return ended, time.monotonic() - began, used.ru_maxrss / 1e3


def main() -> None:
    """Print the outcomes for each kind, and each file that was not refused."""
    folder = Path(sys.argv[1]).resolve() if sys.argv[1:] else None
    given = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
    os.chdir(tempfile.mkdtemp())
    torch.save(honest(), "honest.ckpt")
    load("honest.ckpt")  # imports everything before the first child process
    with zipfile.ZipFile("honest.ckpt") as source:
        (inside,) = (source.read(name) for name in source.namelist() if name.endswith("data.pkl"))
    for path in (Path("honest.ckpt"), archive(inside, Path("written_anew.ckpt"))):
        print(f"{path}: {open_in_a_child(path.resolve())[0]}")
    files: list[tuple[str, str, Path]] = []
    for number, path in enumerate(given):
        copy = Path(f"given_{number}.ckpt")
        copy.write_bytes(path.read_bytes())
        files.append(("as they are", path.name, copy))
        files.append(("in an archive", path.name, archive(path.read_bytes(), Path(f"archive_{number}.ckpt"))))
    for number, (name, content) in enumerate(made_here()):
        files.append(("made here", name, archive(content, Path(f"made_{number}.ckpt"))))
    before, ends = set(Path().iterdir()), Counter[tuple[str, str]]()
    slowest, largest = 0.0, 0.0
    for kind, name, path in files:
        ended, seconds, megabytes = open_in_a_child(path.resolve())
        ends[kind, ended] += 1
        slowest, largest = max(slowest, seconds), max(largest, megabytes)
        if ended != "refused" or seconds > SECONDS or megabytes > MEGABYTES:
            print(f"{kind}, {name}: {ended}, {seconds:.1f} s, {megabytes:,.0f} MB")
    for (kind, ended), count in sorted(ends.items()):
        print(f"{kind}: {count} {ended}")
    print(f"the slowest {slowest:.1f} s, the largest {largest:,.0f} MB; resident before: {rss():,.0f} MB")
    print(f"files left behind: {sorted(set(Path().iterdir()) - before) or 'none'}")


def rss() -> float:
    """Return the largest memory of this process, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
