"""Measure `serve` with many clients at once, and attack it with files that try to harm it.

    python benchmarks/serving.py tensorboard_logs/cnn/version_0

Sends 1,000 requests from 20 clients on loopback: test images as PNG files of 28x28; then with every tenth as a JPEG
like a photograph (rendered by photographs.py). Compares each answer with Python's for the same picture. Then sends
hostile uploads, one by one and several at once, and prints the server's memory; finally kills the server at work.
"""

import argparse
import http.client
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hostile_uploads import REQUESTS_ILL_MADE, hostile
from photographs import catalogue_picture
from PIL import Image
from rich.console import Console
from rich.table import Table

from fashion_lightning import inference
from fashion_lightning.data import source
from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.photographs.files import read_picture

REQUESTS, CLIENTS, ROUNDS = 1000, 20, 3


class Server(NamedTuple):
    """A server in a child process."""

    process: "subprocess.Popen[str]"
    port: int

    def memory(self, peak: bool = False) -> float:
        """Return the resident memory in MB: current, or the largest so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) / 1e3


@contextmanager
def server(run: str) -> Iterator[Server]:
    """Serve a run until the block ends."""
    command = [sys.executable, "-m", "fashion_lightning", "serve", "--ckpt_path", run, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        port = re.search(r":(\d+) until", said)
        assert port is not None, said
        try:
            yield Server(process, int(port[1]))
        finally:
            process.send_signal(signal.SIGTERM)


def ask(connection: http.client.HTTPConnection, file: bytes, kind: str = "application/octet-stream") -> tuple[int, Any]:
    """Send one picture; return status and JSON of the answer."""
    connection.request("POST", "/classify", file, {"Content-Type": kind})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


# --- many clients


def files(count: int, photographs: bool = True) -> list[bytes]:
    """Return test images as PNG files, with ``photographs`` every tenth as a photograph."""
    random = np.random.default_rng(0)
    made = []
    for number, image in enumerate(source.load("test")[0][:count, 0].numpy()):
        if number % 10 or not photographs:
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            made.append(file.getvalue())
        else:
            made.append(catalogue_picture(image, random).getvalue())
    return made


def load(port: int, pictures: list[bytes]) -> tuple[float, list[float], list[Any]]:
    """Send pictures from all clients; return total seconds, milliseconds of each, and answers."""
    turn = iter(range(len(pictures)))
    lock = threading.Lock()
    latencies, answers = [0.0] * len(pictures), [None] * len(pictures)

    def client(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                number = next(turn, None)
            if number is None:
                connection.close()
                return
            began = time.perf_counter()
            status, answers[number] = ask(connection, pictures[number])
            latencies[number] = 1e3 * (time.perf_counter() - began)
            assert status == 200, answers[number]

    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(client, range(CLIENTS)))
    return time.perf_counter() - began, latencies, answers


def measure(run: str, console: Console) -> None:
    """Measure latency and throughput."""
    classifier = inference.load(run)
    loads = {"28x28": files(REQUESTS, photographs=False), "every tenth a photograph": files(REQUESTS)}
    expected = {
        name: classifier.classify(np.stack([read_picture(io.BytesIO(file)).pixels for file in pictures]))
        for name, pictures in loads.items()
    }
    columns = ("requests a second", "p50, ms", "p95, ms", "p99, ms", "as Python says", "largest difference")
    table = Table("pictures", "round", *columns)
    for number in range(1, ROUNDS + 1):
        with server(run) as running:
            load(running.port, loads["28x28"][:200])
            for name, pictures in loads.items():
                seconds, latencies, answers = load(running.port, pictures)
                names, probabilities = expected[name]
                same = sum(answer["class"] == known for answer, known in zip(answers, names, strict=True))
                given = np.array([[answer["probabilities"][known] for known in CLASS_NAMES] for answer in answers])
                table.add_row(
                    name,
                    str(number),
                    f"{REQUESTS / seconds:,.0f}",
                    *(f"{value:.1f}" for value in np.percentile(latencies, [50, 95, 99])),
                    f"{same:,} of {REQUESTS:,}",
                    f"{np.abs(given - probabilities.numpy()).max():.0e}",
                )
    console.print(table)


# --- uploads that are meant to harm


def attack(run: str, console: Console) -> None:
    """Send all hostile uploads, and print the server's memory."""
    table = Table("upload", "bytes", "answer", "s", "memory, MB")
    bodies = hostile()
    wrong = []
    with server(run) as running:
        ask(http.client.HTTPConnection("127.0.0.1", running.port), files(1)[0])
        console.print(f"Memory of the server before: {running.memory():,.0f} MB")

        def send(body: bytes) -> tuple[int, Any]:
            return ask(http.client.HTTPConnection("127.0.0.1", running.port, timeout=300), body)

        for name, (body, expected) in bodies.items():
            began = time.perf_counter()
            status, said = send(body)
            wrong += [name] if status != expected else []
            answer = said.get("detail") or f"{said['class']}, likely: {said['likely']}"
            seconds = time.perf_counter() - began
            table.add_row(name, f"{len(body):,}", f"{status} {answer}", f"{seconds:.2f}", f"{running.memory():,.0f}")
        for name, (request, expected) in REQUESTS_ILL_MADE.items():
            began = time.perf_counter()
            answer = request(running.port)
            wrong += [name] if f" {expected} " not in answer.partition("\r\n")[0] else []
            shown = f"{answer.partition(' ')[2][:3]} {answer.rpartition(chr(10))[2][:100]}"
            table.add_row(name, "", shown, f"{time.perf_counter() - began:.2f}", f"{running.memory():,.0f}")
        console.print(table)
        console.print(
            f"Most memory of the server: {running.memory(peak=True):,.0f} MB; answered otherwise: {wrong or 'none'}"
        )
        at_once = [body for body, _ in bodies.values()] * 4
        with ThreadPoolExecutor(CLIENTS) as clients:
            statuses = [status for status, _ in clients.map(send, at_once)]
        counts = {status: statuses.count(status) for status in sorted(set(statuses))}
        console.print(f"{len(at_once)} of them by {CLIENTS} clients at once, by status: {counts}")
        console.print(f"Most memory of the server: {running.memory(peak=True):,.0f} MB; now {running.memory():,.0f} MB")
        console.print(f"An honest picture is then answered with {send(files(1)[0])[0]}")


def kill(run: str, console: Console) -> None:
    """Kill the server while it answers; print which files are left, and whether a new server works."""
    before = sorted(Path.cwd().rglob("*"))
    pictures = files(300)
    with server(run) as running, ThreadPoolExecutor(1) as clients:
        outcome = clients.submit(load, running.port, pictures)
        time.sleep(0.5)
        running.process.kill()
        console.print(f"Killed while {CLIENTS} clients ask: they get {type(outcome.exception()).__name__}")
    with server(run) as running:
        console.print(f"Started again, it answers {len(load(running.port, pictures)[2])} of {len(pictures)}")
    console.print(f"Files left behind: {[str(path) for path in sorted(Path.cwd().rglob('*')) if path not in before]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    given = parser.parse_args()
    console = Console(soft_wrap=True)
    measure(given.run, console)
    attack(given.run, console)
    kill(given.run, console)


if __name__ == "__main__":
    main()
