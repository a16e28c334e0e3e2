"""Requests to the web server of the live page."""

from __future__ import annotations

import io

from d3pose_ros.view import server as view_server
from fuzz.target import Target


class _Feed:
    """Always has a packet."""

    def wait(self, after: int, timeout_s: float) -> tuple[int, bytes]:
        return after + 1, b"packet"


class _Socket:
    """What a handler needs of one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.answer = io.BytesIO()

    def makefile(self, mode: str, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)

    def sendall(self, data: bytes) -> None:
        self.answer.write(data)

    def settimeout(self, seconds: float | None) -> None:
        """Never waits."""


class _Server:
    server_name, server_port = "127.0.0.1", 8765


_HANDLER = view_server._handler(_Feed(), loopback_only=True)  # type: ignore[arg-type]


def seeds() -> list[bytes]:
    host = b"Host: 127.0.0.1:8765\r\n"
    next_packet = b"GET /next?after=%s HTTP/1.1\r\n" + host + b"\r\n"
    return [
        b"GET / HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /body HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        next_packet % b"7" + next_packet % b"x",
        b"GET /../../etc/passwd HTTP/1.1\r\n" + host + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 3\r\n\r\nabc",
        b"GET /\r\n",
    ]


def run(data: bytes) -> None:
    request = _Socket(data)
    _HANDLER(request, ("127.0.0.1", 5), _Server())  # type: ignore[arg-type]
    answer = request.answer.getvalue()
    if answer.startswith(b"HTTP/1.1 "):
        assert answer[9:12] != b"500", answer[:200]
    assert b"root:" not in answer


TARGET = Target(
    seeds,
    run,
    (
        *(b"GET ", b"HEAD ", b"HTTP/1.1", b"HTTP/9.9", b"\r\n", b"Host: ", b"[::1]", b"Host: ["),
        *(b"localhost", b"/next", b"/body", b"?after=", b"%00", b"..%2f", b"Expect: 100-continue"),
        *(b"Transfer-Encoding: chunked", b"9" * 5000, b"//", b"http://[", b"#", b"?", b"&", b"="),
    ),
    weight=2,
)
