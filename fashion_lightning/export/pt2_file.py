"""A file of torch.export, which torch runs without this package, in Python or C++."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram


PACKAGES: tuple[str, ...] = ()
"""What must be installed beside this package."""


def write(program: "ExportedProgram", metadata: dict[str, str]) -> bytes:
    """Return the content of the file, weights included."""
    import torch

    content = io.BytesIO()
    torch.export.save(program, content, extra_files=metadata)
    return content.getvalue()


def load(content: bytes) -> "Callable[[Tensor], Tensor]":
    """Return the function of a file's content, run by torch on the CPU."""
    import torch

    return torch.export.load(io.BytesIO(content)).module()
