"""The page's web server: the page itself, the body, and one packet after another."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from d3pose_core.errors import InputError
from d3pose_core.viewer.pack import packed_body
from d3pose_ros.view.feed import Feed
from d3pose_ros.view.page import live_page

logger = logging.getLogger(__name__)

# A page keeps two or three connections; so many pages may look at once.
MAX_CONNECTIONS = 32
# A connection that says, or takes, nothing for so long is closed.
IDLE_S = 30.0
MAX_DIGITS = 15  # of a packet's number
# The page brings everything along; nothing of it may load from, send to, or be shown within other sites.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
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


class _Server(ThreadingHTTPServer):
    """A thread a connection, and no more than MAX_CONNECTIONS of them: the others are told to come again."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.sendall(_TOO_MANY)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system has no thread to give
            self._free.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One connection's trouble is not to be seen on the terminal."""
        logger.debug("the connection from %s ended", client_address, exc_info=True)


class ViewServer:
    """Serves in threads of its own until `close`.

    On a loopback address it answers requests for loopback names only: a page of another site that has its
    own name point here is refused. So are requests that a browser makes for a page of another site.
    """

    def __init__(self, feed: Feed, host: str, port: int) -> None:
        """`port` 0: any free one. Raises InputError if the address can't be had."""
        handler = _handler(feed, loopback_only=is_loopback(host))
        try:
            self._server = _Server((host, port), handler)
        except OSError as error:
            raise InputError(
                f"can't serve at {host}:{port}: {error.strerror or error}; give another --port or --host"
            ) from error
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

        timeout = IDLE_S
        server_version, sys_version = "d3pose", ""

        def do_GET(self) -> None:
            # A body would be taken for the next request.
            if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
                self.close_connection = True
            if loopback_only and not is_loopback(self._host()):
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"served to this machine only\n")
                return
            if self._from_another_site():
                self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"not for pages of other sites\n")
                return
            try:
                request = urlsplit(self.path)
            except ValueError:
                self._answer(HTTPStatus.BAD_REQUEST, "text/plain", b"no address\n")
                return
            if request.path == "/":
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", live_page().encode())
            elif request.path == "/body":
                self._answer(HTTPStatus.OK, "application/octet-stream", packed_body())
            elif request.path == "/next":
                self._next(parse_qs(request.query).get("after", ["0"])[0])
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"no such page\n")

        def _host(self) -> str:
            """By which name the browser found this server; "" for what is none."""
            try:
                return urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
            except ValueError:
                return ""

        def _from_another_site(self) -> bool:
            """As browsers tell; that somebody follows a link to the page is fine."""
            fetches = self.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
            site = self.headers.get("Sec-Fetch-Site", "none")
            return fetches and site not in ("same-origin", "none")

        def _next(self, after: str) -> None:
            if not (after.isascii() and after.isdecimal() and len(after) <= MAX_DIGITS):
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
                for name, value in _HEADERS.items():
                    self.send_header(name, value)
                if number is not None:
                    self.send_header("X-Packet-Number", str(number))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # the page was closed, or does not read

        def log_message(self, format: str, *args: object) -> None:
            logger.debug(format, *args)

    return Handler
