"""The page's web server: the page itself, the body, and one packet after another."""

from __future__ import annotations

import ipaddress
import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from d3pose_core.errors import InputError
from d3pose_core.viewer.pack import packed_body
from d3pose_ros.view.feed import Feed
from d3pose_ros.view.page import live_page

logger = logging.getLogger(__name__)

# A request for the next packet waits for so long, then is answered with "nothing new".
WAIT_S = 5.0


def is_loopback(host: str) -> bool:
    """Whether an address leads to this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class ViewServer:
    """Serves in threads of its own until `close`.

    On a loopback address it answers requests for loopback names only: a page of another site that has its
    own name point here is refused.
    """

    def __init__(self, feed: Feed, host: str, port: int) -> None:
        """`port` 0: any free one. Raises InputError if the address can't be had."""
        handler = _handler(feed, loopback_only=is_loopback(host))
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise InputError(
                f"can't serve at {host}:{port}: {error.strerror or error}; give another --port or --host"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"http://{host}:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(feed: Feed, loopback_only: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # one connection for all packets

        def do_GET(self) -> None:
            host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
            if loopback_only and not is_loopback(host):
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"served to this machine only\n")
                return
            request = urlsplit(self.path)
            if request.path == "/":
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", live_page().encode())
            elif request.path == "/body":
                self._answer(HTTPStatus.OK, "application/octet-stream", packed_body())
            elif request.path == "/next":
                self._next(parse_qs(request.query).get("after", ["0"])[0])
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"no such page\n")

        def _next(self, after: str) -> None:
            if not (after.isascii() and after.isdecimal()):
                self._answer(HTTPStatus.BAD_REQUEST, "text/plain", b"after must be a number\n")
                return
            number, packet = feed.wait(int(after), WAIT_S)
            status = HTTPStatus.OK if packet else HTTPStatus.NO_CONTENT
            self._answer(status, "application/octet-stream", packet, number)

        def _answer(
            self, status: HTTPStatus, kind: str, content: bytes, number: int | None = None
        ) -> None:
            try:
                self.send_response(status)
                if status is not HTTPStatus.NO_CONTENT:
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                self.send_header("Cache-Control", "no-store")
                if number is not None:
                    self.send_header("X-Packet-Number", str(number))
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the page was closed

        def log_message(self, format: str, *args: object) -> None:
            logger.debug(format, *args)

    return Handler
