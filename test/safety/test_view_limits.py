"""The live page's web server, asked by those it is not for, by too many, and by those who never finish."""

from __future__ import annotations

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from d3pose_ros.view import server as view_server
from d3pose_ros.view.feed import Feed
from d3pose_ros.view.node import ViewOptions
from d3pose_ros.view.server import ViewServer, is_loopback


@pytest.fixture
def server() -> Iterator[ViewServer]:
    server = ViewServer(Feed(lambda: 0), "127.0.0.1", 0)
    yield server
    server.close()


def get(server: ViewServer, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return connection.getresponse()


def connect(server: ViewServer, request: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(request)
    return connection


def answered(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_loopback_unless_told_otherwise() -> None:
    assert is_loopback(ViewOptions().host)


def test_an_address_for_everybody_is_said(tmp_path) -> None:
    """On the terminal, as soon as it serves."""
    environment = dict(os.environ)
    environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    command = [sys.executable, "-m", "d3pose_core.cli.main", "view", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--host", "0.0.0.0"], stdout=subprocess.PIPE, env=environment, text=True
    )
    try:
        assert process.stdout is not None
        assert "open http://0.0.0.0:" in process.stdout.readline()
        said = process.stdout.readline()
        assert "0.0.0.0 is not this machine alone" in said
        assert "no password" in said
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/body/../../live.js",
        "/live.js",
    ],
)
def test_no_address_leads_to_a_file(server: ViewServer, path: str) -> None:
    answer = get(server, path)
    assert answer.status == 404
    assert answer.read() == b"no such page\n"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1", "", "12]7.0"])
def test_other_names_are_refused(server: ViewServer, host: str) -> None:
    assert get(server, "/next?after=0", Host=host).status == 403


def test_pages_of_other_sites_get_nothing(server: ViewServer) -> None:
    assert get(server, "/body", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403
    assert get(server, "/body", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors").status == 200
    # A link to it from elsewhere works; within another page it is not shown.
    page = get(server, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert page.status == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /next?after=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", b"501"),
    ],
)
def test_requests_out_of_bounds(server: ViewServer, request_: bytes, status: bytes) -> None:
    connection = connect(server, request_)
    assert connection.recv(12).split(b" ")[1] == status


def test_a_body_is_not_the_next_request(server: ViewServer) -> None:
    hidden = b"GET /body HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    answer = answered(connect(server, head % len(hidden) + hidden))
    assert answer.count(b"HTTP/1.1 ") == 1


def test_too_many_connections_are_told_so(server: ViewServer, monkeypatch) -> None:
    """Those that are there go on, and when they end, others may come."""
    open_ones = [connect(server) for _ in range(view_server.MAX_CONNECTIONS)]
    # Served one after the other, in the order in which they came.
    refused = connect(server)
    assert answered(refused).startswith(b"HTTP/1.1 503 ")
    request = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    open_ones[0].sendall(request)
    assert answered(open_ones[0]).startswith(b"HTTP/1.1 404 ")
    for connection in open_ones:
        connection.close()
    for _ in range(200):  # until the first of their threads has ended
        again = connect(server, request)
        if answered(again).startswith(b"HTTP/1.1 404 "):
            return
        select.select([], [], [], 0.02)
    pytest.fail("no connection was freed")


def test_who_says_nothing_is_cut_off(monkeypatch) -> None:
    monkeypatch.setattr(view_server, "IDLE_S", 0.2)
    server = ViewServer(Feed(lambda: 0), "127.0.0.1", 0)
    try:
        half = connect(server, b"GET / HTTP/1.1\r\nHost: local")
        assert answered(half) == b""
    finally:
        server.close()
