"""Make uploads that try to harm a server that reads pictures; serving.py sends them."""

import io
import socket
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image


def png(width: int, height: int, bits: int, colour: int, *extra: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file of zeros, compressed to a thousandth, with extra chunks."""
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    row = bytes(1 + (width * channels * bits + 7) // 8)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(row * 100) for _ in range(height // 100))
    rows += packer.compress(row * (height % 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the content of a picture's file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def hostile() -> dict[str, tuple[bytes, int]]:
    """Return bodies, each with the status that the server must answer."""
    small = Image.effect_noise((300, 300), 80)
    jpeg, gif, tiff = saved(small, "JPEG"), saved(small, "GIF"), saved(small, "TIFF", compression="tiff_deflate")
    at = jpeg.index(b"\xff\xc0") + 5
    giant_jpeg = jpeg[:at] + struct.pack(">HH", 65_000, 65_000) + jpeg[at + 4 :]
    webp = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\x10\0\0\0"
    squeezed = zlib.compress(bytes(100_000_000), 9)
    bmp = saved(small, "BMP")
    frames = [Image.new("L", (40, 40), number % 256) for number in range(2000)]
    grey = Image.new("L", (4900, 4900), 200)
    grey.paste(20, (1400, 700, 3500, 4200))
    return {
        "nothing": (b"", 400),
        "a null byte": (b"\0", 415),
        "a megabyte of null bytes": (bytes(1_000_000), 415),
        "random bytes": (np.random.default_rng(0).bytes(1_000_000), 415),
        "text": ("ein Hemd 👕".encode(), 415),
        "the name of a file": (b"../../../../etc/passwd\0.png", 415),
        "HTML with a script": (b"<html><script>alert(1)</script>", 415),
        "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", 415),
        "PostScript (EPS)": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n(/etc/passwd) (r) file", 415),
        "PDF": (b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj", 415),
        "a ZIP archive": (b"PK\x03\x04" + bytes(100), 415),
        "Photoshop": (b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3) + bytes(100), 415),
        "JPEG cut off": (jpeg[: len(jpeg) // 2], 422),
        "JPEG, a header alone": (jpeg[:200], 422),
        "JPEG that says 65,000x65,000": (giant_jpeg, 413),
        "PNG cut off": (saved(small, "PNG")[:5000], 422),
        "PNG header of 20,000x20,000": (png(20_000, 20_000, 8, 2)[:1000], 413),
        "PNG bomb, 20,000x20,000": (png(20_000, 20_000, 1, 0), 413),
        "PNG bomb, 24,000,000x1": (png(24_000_000, 1, 8, 0), 200),
        "PNG bomb in the comment": (png(30, 30, 8, 0, (b"zTXt", b"a\0\0" + squeezed)), 422),
        "PNG bomb in the colour profile": (png(30, 30, 8, 0, (b"iCCP", b"a\0\0" + squeezed)), 422),
        "PNG, 24 megapixels, RGBA": (png(4900, 4900, 8, 6), 200),
        "PNG, 24 megapixels, 16 bit": (png(4900, 4900, 16, 0), 200),
        "PNG, 49 megapixels": (png(7000, 7000, 8, 2), 413),
        "JPEG, 80 megapixels": (saved(Image.new("RGB", (10_000, 8000)), "JPEG", progressive=True), 200),
        "GIF cut off": (gif[:3000], 422),
        "GIF that says 65,535x65,535": (gif[:6] + b"\xff" * 4 + gif[10:], 413),
        "GIF, 24 megapixels": (saved(grey, "GIF"), 200),
        "GIF of 2,000 frames": (saved(frames[0], "GIF", save_all=True, append_images=frames), 200),
        "TIFF cut off": (tiff[: len(tiff) // 2], 415),
        "TIFF, 24 megapixels": (saved(grey, "TIFF", compression="tiff_lzw"), 415),
        "BMP that says 2,000,000,000x1": (
            bmp[:18] + struct.pack("<ii", 2_000_000_000, 1) + bmp[26:],
            413,
        ),
        "WebP that says 16,384x16,384": (webp + b"\xff\x3f\0\xff\x3f\0", 413),
        "WebP cut off": (saved(small, "WEBP")[:2000], 422),
        "1x1": (saved(Image.new("RGB", (1, 1)), "PNG"), 200),
        "1x1, transparent": (saved(Image.new("RGBA", (1, 1)), "PNG"), 200),
        "50 MB": (bytes(50_000_000), 413),
    }


def raw(port: int, *parts: bytes, seconds: float = 100) -> str:
    """Send bytes, and return the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
        for part in parts:
            client.sendall(part)
        said = b""
        try:
            while received := client.recv(100_000):
                said += received
        except ConnectionResetError:  # the server did not read all bytes
            pass
        return said.decode()


def chunks_without_end(port: int) -> str:
    """Send a body without end, and return the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=100) as client:
        client.sendall(b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        client.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        chunk, sent = b"f4240\r\n" + bytes(1_000_000) + b"\r\n", 0
        try:
            for sent in range(1, 100_000):
                client.sendall(chunk)
                if sent == 25:
                    said = client.recv(100_000).decode()
        except OSError:  # the server has closed
            return said
    return f"{sent} MB were read"


HEAD = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"

REQUESTS_ILL_MADE: dict[str, tuple[Callable[[int], str], int]] = {
    "a form": (
        lambda port: raw(port, HEAD.replace(b"image/png", b"multipart/form-data") + b"Connection: close\r\n\r\n"),
        415,
    ),
    "no media type": (
        lambda port: raw(port, b"POST /classify HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        415,
    ),
    "a path outside": (
        lambda port: raw(port, b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        404,
    ),
    "a header of 1 MB": (lambda port: raw(port, HEAD + b"X: " + b"x" * 1_000_000), 400),
    "a negative length": (lambda port: raw(port, HEAD + b"Content-Length: -5\r\n\r\n"), 400),
    "chunks without end": (chunks_without_end, 413),
    "a body of a byte, then none for a minute": (
        lambda port: raw(port, HEAD + b"Content-Length: 9\r\n\r\n", b"\x89"),
        408,
    ),
}
