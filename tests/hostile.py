"""A real checkpoint, changed as somebody might who means harm, or a disk that fails; by hypothesis."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from hypothesis import strategies as st

from fashion_lightning.files.bounded_yaml import LOADER

CALLABLES = (
    *(
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "builtins.exec",
        "runpy.run_path",
        "webbrowser.open",
        "antigravity",
    ),
    *(
        "torch.fx.graph_module.reduce_graph_module",
        "torch.export.load",
        "torch.hub.load",
        "torch.load",
        "torch.jit.load",
    ),
    *("torch.utils.collect_env.subprocess.Popen", "torch.utils.cpp_extension.load", "torch.compile", "torch.save"),
    *(
        "torchvision.ops.MLP",
        "torchvision.models.resnet18",
        "torchvision.datasets.FashionMNIST",
        "torch.nn.Transformer",
    ),
    *("lightning.pytorch.Trainer", "lightning.pytorch.cli.LightningCLI", "lightning.pytorch.loggers.CSVLogger"),
    *("lightning.pytorch.profilers.AdvancedProfiler", "lightning.pytorch.callbacks.ModelCheckpoint"),
    *("torch.nn.Sequential", "torch.nn.Linear", "torch.nn.Module", "torch.optim.SparseAdam", "torch.optim.Optimizer"),
    *(
        "torch.optim.lr_scheduler.LambdaLR",
        "fashion_lightning.cli.main",
        "fashion_lightning.files.durable.replacing",
    ),
    *("fashion_lightning.networks.CNN", "fashion_lightning.networks.WideResNet", "fashion_lightning.networks.MLP"),
)
PLACES = (
    "/",
    "..",
    "../../escaped",
    "/tmp/escaped",
    "~/escaped",
    "tensorboard_logs",
    "",
    ".",
    "con",
    "a" * 300,
    "\x1b[31mred",
    "a\nb",
    "bad\udcff",
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    7,
    1000,
    10**6,
    10**9,
    2**31,
    2**63,
    10**30,
    -(10**30),
    0.5,
    -0.1,
    1e-300,
    1e300,
    float("inf"),
    float("nan"),
)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi")
)
TEXTS = (
    BOMB,
    "[" * 5000,
    "a: &a [*a]",
    "n: " + "9" * 5000,
    "a: 1\na: 2",
    "!!python/object/apply:os.system [ls]",
    "{",
    "\x00",
    "x" * 300_000,
)


def specs() -> st.SearchStrategy[Any]:
    """A class and arguments, of which some would do harm."""
    arguments = st.dictionaries(
        st.sampled_from(
            ["body", "args", "shell", "hidden", "widths", "depth", "width", "stem", "blocks", "dropout", "f"]
        ),
        st.one_of(
            st.sampled_from(NUMBERS),
            st.sampled_from(CALLABLES),
            st.just({"_code": "touch_a_file()"}),
            st.lists(st.sampled_from(NUMBERS), max_size=4),
        ),
        max_size=3,
    )
    return st.builds(lambda path, init: {"class_path": path, "init_args": init}, st.sampled_from(CALLABLES), arguments)


def values() -> st.SearchStrategy[Any]:
    """What takes the place of something in a checkpoint."""
    simple = st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from(NUMBERS),
        st.sampled_from(CALLABLES),
        st.sampled_from(PLACES),
        st.text(max_size=8),
    )
    tensors = st.sampled_from(
        [
            torch.zeros(()),
            torch.zeros(3),
            torch.zeros(1).expand(10**9),
            torch.zeros(2, dtype=torch.int64),
            torch.full((4,), float("nan")),
        ]
    )
    nested = st.recursive(
        simple,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
        max_leaves=6,
    )
    return st.one_of(simple, specs(), tensors, nested, st.lists(specs(), max_size=2))


def places(content: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands, as the keys that lead there; single weights are left alone."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    found = [before] if before else []
    for key, item in inside:
        found += places(item, (*before, key))
    return found


def replaced(content: Any, place: tuple[Any, ...], value: Any, how: str) -> None:
    """Change what stands at a place."""
    *way, last = place
    for key in way:
        content = content[key]
    if how == "delete":
        del content[last]
    elif how == "list":
        content[last] = [content[last]]
    elif how == "add" and isinstance(content, dict):
        content[value if isinstance(value, str | int) else "extra"] = value
    else:
        content[last] = value


class Bytes(bytes):
    """Not shown in full when a case fails: the file is kept."""

    def __repr__(self) -> str:
        return f"{len(self)} bytes"


@cache
def read(original: Path) -> Any:
    """The content of the original; to be copied before it is changed."""
    return torch.load(original, weights_only=True)


@st.composite
def hostile_files(draw: st.DrawFn, original: Path) -> "Bytes":
    """The bytes of a checkpoint file that differs in one to three places from the original."""
    kind = draw(st.sampled_from(["config"] * 6 + ["content"] * 6 + ["text", "bytes", "cut"]))
    if kind in ("bytes", "cut"):
        data = bytearray(original.read_bytes())
        place = draw(st.integers(0, len(data) - 1))
        if kind == "cut":
            return Bytes(data[:place])
        data[place] ^= draw(st.integers(1, 255))
        return Bytes(data)
    content = copy.deepcopy(read(original))
    own = content["fashion_lightning"]
    if kind == "text":
        own["config"] = draw(st.sampled_from(TEXTS)) + draw(st.sampled_from(["", "\n" + own["config"]]))
    target = yaml.load(own["config"], Loader=LOADER) if kind == "config" else content
    for _ in range(draw(st.integers(1, 3)) if kind != "text" else 0):
        where = places(target)
        if not where:
            break
        replaced(
            target,
            draw(st.sampled_from(where)),
            draw(values()),
            draw(st.sampled_from(["put", "put", "put", "delete", "list", "add"])),
        )
    if kind == "config":
        try:
            own["config"] = yaml.dump(target, Dumper=getattr(yaml, "CDumper", yaml.Dumper))
        except UnicodeEncodeError:  # half a character, which only the slower one takes
            own["config"] = yaml.dump(target)
    changed = original.with_name("hostile.ckpt")
    torch.save(content, changed)
    return Bytes(changed.read_bytes())
