"""Read weights and their card from a file that may come from a stranger."""

import pickletools
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fashion_lightning.errors import UserError
from fashion_lightning.runs.card import OURS, Card, read_card
from fashion_lightning.runs.folder import as_typed, run_dir_of

if TYPE_CHECKING:
    from torch import Tensor, nn

SAFETENSORS = ".safetensors"
CARD = "fashion_lightning"
"""The key of the card in a safetensors file's metadata."""
PREFIX = "network."
"""The prefix of the names of a classifier's weights."""

MAX_PICKLE_STEPS = 200_000
"""Most opcodes in a checkpoint's pickle; the largest recipe's has 6,000."""

GLOBALS = {
    *("collections OrderedDict", "collections Counter"),  # weights; the milestones of MultiStepLR
    *("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"),
    *("torch FloatStorage", "torch DoubleStorage", "torch HalfStorage", "torch BFloat16Storage", "torch LongStorage"),
    *("torch IntStorage", "torch ShortStorage", "torch CharStorage", "torch ByteStorage", "torch BoolStorage"),
}
"""Names that a checkpoint's pickle may contain. torch allows more, such as ``bytearray``, which allocates any size."""


def read_weights(path: Path, named: Collection[str] = ()) -> tuple[dict[str, "Tensor"], Card]:
    """Read weights and card; ignore everything else in the file.

    ``named`` are import paths of networks that the user has named.

    Raises:
        UserError: the file is damaged, exceeds a bound, or its weights do not fit the network on its card.
    """
    state_dict: Any
    try:
        if path.suffix.lower() == SAFETENSORS:
            state_dict, text = _read_safetensors(path)
        else:
            content = read_checkpoint_file(path)
            own = content.get("fashion_lightning")
            state_dict, text = content.get("state_dict"), own.get("card") if isinstance(own, dict) else None
        card = read_card(text)
        class_path = card.network["class_path"]
        if class_path not in OURS and class_path not in named:  # not imported
            raise UserError(
                f"its network is {class_path}. If you trust it, name it: --network {class_path}"
                f"{f'. If you keep runs there: --ckpt_path {as_typed(run)}' if (run := run_dir_of(path)) else ''}"
            )
        weights = _plain_weights(state_dict, 2 * path.stat().st_size)
        if class_path in OURS:
            _check_fit(card, weights)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {str(error).removesuffix('.')}.") from error
    return weights, card


def read_checkpoint_file(path: Path) -> dict[str, Any]:
    """Read a file of plain values and tensors that ``torch.save`` wrote.

    Raises:
        UserError: it is damaged, too large, or holds anything else; the message follows ``FILE cannot be used:``.
    """
    import torch

    _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged bytes
        raise UserError(f"it is not a checkpoint ({(str(error) or type(error).__name__).splitlines()[0]})") from error
    if not isinstance(content, dict):
        raise UserError("it is not a checkpoint")
    return content


def _check_archive(path: Path) -> None:
    """Check the zip archive before torch opens it: torch's records are uncompressed, so none exceeds the file."""
    if not path.is_file():  # opening a pipe would wait
        raise UserError("it is missing, or not a regular file")
    try:
        with path.open("rb") as file:
            begin = file.read(4)
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            names = {record.filename.lower() for record in records}  # torch ignores case
            plain = len(names) == len(records) and all(record.compress_type == zipfile.ZIP_STORED for record in records)
            size = sum(record.file_size for record in records)
            # Otherwise the file may also be a pickle or another archive, which torch would read instead.
            plain = plain and begin == b"PK\x03\x04" and min(record.header_offset for record in records) == 0
            if not plain or size > path.stat().st_size or archive.testzip():  # torch does not compare checksums
                raise zipfile.BadZipFile("its records are compressed, damaged, or not at the file's beginning")
            for record in records:
                if record.filename.lower().endswith(".pkl"):
                    _check_pickle(archive.read(record))
    except UserError:
        raise
    except Exception as error:  # zipfile raises a dozen kinds for damaged bytes
        raise UserError(
            f"it is not a whole checkpoint file ({str(error).lower()})"
            f"{'' if path.suffix == '.ckpt' else '; name a run, a .ckpt or a .safetensors file'}"
        ) from error


def _check_pickle(pickled: bytes) -> None:
    """Check a pickle's opcodes without executing them."""
    for number, (step, argument, _) in enumerate(pickletools.genops(pickled)):
        if (
            step.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4")
            or (step.name == "GLOBAL" and argument not in GLOBALS)
            or (step.name == "PROTO" and argument != 2)  # torch.save's protocol; torch would warn of others
        ):
            raise UserError("it holds more than plain values and tensors in pickle protocol 2; it is not opened")
        # Hashes of large integers can collide, so that a dictionary of them takes minutes to build.
        if number > MAX_PICKLE_STEPS or (step.name.startswith("LONG") and abs(argument or 0) >= 2**63):
            raise UserError("it holds more values than a checkpoint does; it is not opened")


def _read_safetensors(path: Path) -> tuple[dict[str, "Tensor"], str | None]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError("it is missing, or not a regular file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, (file.metadata() or {}).get(CARD)  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"it is not a safetensors file ({str(error)[:100]})") from error


def write_safetensors(state_dict: Mapping[str, "Tensor"], card: Card) -> bytes:
    """Return the content of a safetensors file with weights and card."""
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in state_dict.items()}, {CARD: card.to_json()})


def _plain_weights(state_dict: Any, most_bytes: int) -> dict[str, "Tensor"]:
    """Check that a state dict holds plain tensors, none larger than its storage, together at most ``most_bytes``."""
    import torch

    if not isinstance(state_dict, dict) or not state_dict:
        raise UserError("it holds no weights")
    total = 0
    for name, tensor in state_dict.items():
        if not isinstance(name, str) or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            raise UserError("its weights are not plain tensors")
        is_number = tensor.is_floating_point() or (tensor.dim() == 0 and not tensor.is_complex())  # a batch count
        bytes_needed = tensor.numel() * tensor.element_size()
        total += bytes_needed
        if not is_number or bytes_needed > tensor.untyped_storage().nbytes() or total > most_bytes:
            raise UserError("its weights are not plain tensors, or larger than the file")
    # A new dictionary, without the metadata that torch's state dicts have.
    return {name: tensor.detach() for name, tensor in state_dict.items()}


def _check_fit(card: Card, weights: Mapping[str, "Tensor"]) -> None:
    """Check that weights fit a card's network, which is built without memory for its own weights."""
    import torch

    from fashion_lightning import networks

    try:
        with torch.device("meta"):
            network = getattr(networks, card.network["class_path"].rpartition(".")[2])(**card.network["init_args"])
        put_in(network, weights)
    except Exception as error:  # a negative width, a word for a number, other shapes
        raise UserError(f"its weights do not fit its network ({' '.join(str(error).split())[:200]})") from error


def put_in(network: "nn.Module", weights: Mapping[str, "Tensor"]) -> None:
    """Load weights, in float32, into a network that may be on the ``meta`` device."""
    network.load_state_dict(
        {
            name.removeprefix(PREFIX): tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in weights.items()
        },
        assign=True,
    )


def start_from(network: "nn.Module", weights: Mapping[str, "Tensor"]) -> str:
    """Copy the weights whose name and shape match a network's; return a line about the copied and the missing ones."""
    own = network.state_dict()
    given = {name.removeprefix(PREFIX): tensor for name, tensor in weights.items()}
    taken = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    if not taken:
        raise UserError(
            "--weights: none of its weights has the name and shape of one in this network. Omit --config or --network."
        )
    network.load_state_dict(taken, strict=False)
    new = [name for name in own if name not in taken]
    listed = f"; new: {', '.join(new[:8])}{f' and {len(new) - 8} more' if len(new) > 8 else ''}" if new else ""
    return f"{len(taken)} of {len(own)} tensors taken{listed}"
