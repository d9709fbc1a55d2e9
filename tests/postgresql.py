"""A PostgreSQL server of its own for a test: on a free port of this machine, its data in a temporary folder."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

USER, PASSWORD = "sweeper", "p{ss%word"

DEBIAN = "/usr/lib/postgresql/*/bin"
"""Where Debian's package has the programs that are not in the PATH."""


def program(name: str) -> str | None:
    """The path of one of PostgreSQL's programs, if it is installed."""
    in_package = sorted(Path("/").glob(f"{DEBIAN[1:]}/{name}"))
    return shutil.which(name) or (str(in_package[-1]) if in_package else None)


MISSING = program("initdb") is None or program("postgres") is None
"""For a test's ``skipif``."""

REASON = "needs PostgreSQL: apt-get install postgresql"


class Server:
    """A server that can be stopped and started again.

    Args:
        folder: that it may write to.
        account: that it runs under; it refuses to be root.
    """

    def __init__(self, folder: Path, account: str | None) -> None:
        self.folder, self.account = folder, account
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, password: str = PASSWORD) -> str:
        """What ``--storage`` takes."""
        quoted = password.replace("%", "%25").replace("{", "%7B")
        return f"postgresql://{USER}:{quoted}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ("-D", "data", "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), "-c", "fsync=off")
        self.process = self._run("postgres", *options)
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """Stop it as its administrator would: connections are closed."""
        if self.process is not None:
            self.process.send_signal(2)
            self.process.wait()
            self.process = None

    def initialize(self) -> None:
        """Make its data folder."""
        (self.folder / "password").write_text(PASSWORD)
        options = ("-D", "data", "-U", USER, "--auth=scram-sha-256", "--pwfile=password", "--no-sync", "-E", "UTF8")
        process = self._run("initdb", *options)
        if process.wait():
            raise RuntimeError((self.folder / "log").read_text())

    def _run(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        path = program(name)
        assert path is not None
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([path, *options], cwd=self.folder, stdout=log, stderr=log, user=self.account)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A running server, gone with all its data after the block."""
    account = "nobody" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # not pytest's, which another account cannot enter
    if account is not None:
        os.chown(folder, pwd.getpwnam(account).pw_uid, -1)
    found = Server(folder, account)
    try:
        found.initialize()
        found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder)
