"""A PostgreSQL server of its own for a test: on a free port of this machine, its data in a temporary folder."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

USER, PASSWORD = "sweeper", "p{ss%word"

PROGRAMS = max(Path("/").glob("usr/lib/postgresql/*/bin"), default=Path(shutil.which("pg_ctl") or "/missing/").parent)
"""Debian's package has them outside the PATH."""

MISSING = not (PROGRAMS / "initdb").exists()
"""For a test's ``skipif``."""

REASON = "needs PostgreSQL: apt-get install postgresql"


class Server:
    """A server that can be stopped and started again.

    Args:
        folder: where it keeps its files.
        account: the user to run as; PostgreSQL refuses to run as root.
    """

    def __init__(self, folder: Path, account: str | None) -> None:
        self.folder, self.account = folder, account
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def url(self, database: str, password: str = PASSWORD) -> str:
        """Return the database's URL for ``--storage``."""
        quoted = password.replace("%", "%25").replace("{", "%7B")
        return f"postgresql://{USER}:{quoted}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-o", options)

    def stop(self) -> None:
        """Stop it as its administrator would: connections are closed."""
        self.run("pg_ctl", "stop", "-m", "fast", "-D", "data")

    def run(self, program: str, *options: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        command = [str(PROGRAMS / program), *options]
        subprocess.run(command, cwd=self.folder, user=self.account, stdout=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A running server, gone with all its data after the block."""
    account = "nobody" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # not pytest's, which another account cannot enter
    (folder / "password").write_text(PASSWORD)
    if account is not None:
        shutil.chown(folder, account)
    found = Server(folder, account)
    found.run("initdb", "-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile=password", "--no-sync", "-E", "UTF8")
    found.start()
    try:
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder)
