"""What a command does beyond computing, as Python's own audit hook sees it."""

import os
import sys
from types import CodeType, TracebackType
from typing import Any

PATHS = {"os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.link": 2, "os.symlink": 2, "os.truncate": 1}
"""Events that change the disk, and how many of their arguments are paths."""

PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.kill")
NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "urllib.Request", "ftplib.connect")


class Audit:
    """Records, while it is entered, text that is executed, paths that are written, and processes or connections."""

    def __init__(self) -> None:
        self.executed: set[str] = set()
        self.written: set[str] = set()
        self.begun: set[str] = set()

    def __enter__(self) -> "Audit":
        _recording.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        _recording.remove(self)

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "exec" and isinstance(arguments[0], CodeType) and arguments[0].co_filename.startswith("<"):
            self.executed.add(f"{arguments[0].co_filename} {arguments[0].co_names[:4]}")
        elif event == "open" and not isinstance(arguments[0], int) and set(arguments[1] or "") & set("wxa+"):
            self.written.add(os.fsdecode(arguments[0]))
        elif event in PATHS:
            self.written |= {os.fsdecode(path) for path in arguments[: PATHS[event]]}
        elif event in PROCESSES or event in NETWORK:
            self.begun.add(f"{event} {arguments}")


_recording: list[Audit] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for audit in tuple(_recording):
        audit.see(event, arguments)


sys.addaudithook(_hook)  # for good: Python can take none back
