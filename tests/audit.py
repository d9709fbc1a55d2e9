"""What a command does beyond computing, as Python's own audit hook sees it."""

import os
import sys
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

PATHS = {"os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2, "os.truncate": 1}
"""Events that change the disk, and how many of their arguments are paths."""

NEVER = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.kill", "os.chmod")
NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "urllib.Request", "ftplib.connect")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_recording: list["Audit"] = []


class Audit:
    """Records, while it is entered, which modules are imported, which text is executed, what is written where, and
    every process or connection that is begun."""

    def __init__(self) -> None:
        self.imported: set[str] = set()
        self.executed: set[str] = set()
        self.written: set[Path] = set()
        self.begun: set[str] = set()

    def __enter__(self) -> "Audit":
        _recording.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        _recording.remove(self)

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import":
            self.imported.add(str(arguments[0]))
        elif event == "exec" and isinstance(arguments[0], CodeType) and arguments[0].co_filename.startswith("<"):
            self.executed.add(f"{arguments[0].co_filename} {arguments[0].co_names[:4]}")
        elif event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            mode, flags = arguments[1] or "", arguments[2]
            if set(mode) & set("wxa+") or (isinstance(flags, int) and flags & WRITING):
                self.written.add(Path(os.fsdecode(arguments[0])).absolute())
        elif event in PATHS:
            self.written |= {Path(os.fsdecode(path)).absolute() for path in arguments[: PATHS[event]]}
        elif event in NEVER or event in NETWORK:
            self.begun.add(f"{event} {arguments}")

    def outside(self, *places: Path) -> set[Path]:
        """What was written elsewhere than in these folders."""
        kept = [place.absolute() for place in places]
        return {path for path in self.written if not any(path.is_relative_to(place) for place in kept)}


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for audit in tuple(_recording):
        audit.see(event, arguments)


sys.addaudithook(_hook)  # for good: Python can take none back
