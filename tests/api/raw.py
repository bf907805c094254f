"""HTTP spoken by hand, for requests that no client library would send."""

import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.fixtures.service import Service


@dataclass(frozen=True)
class Answer:
    """The first response on the connection; status 0 where the server hung up without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error of the body."""
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


def exchange(service: Service, *pieces: bytes) -> Answer:
    """Send bytes as they are, and read one response."""
    address = urlsplit(service.base_url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break  # refused before the end of it: the answer is there to be read
        return _answer(connection)


def request(
    service: Service, *headers: str, method: str = "GET", target: str = "/api/v1/tenant", body: bytes = b""
) -> Answer:
    """Send a request with just these header lines."""
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *headers, "Connection: close", "", ""])
    return exchange(service, head.encode("utf-8", "surrogateescape") + body)


def _answer(connection: socket.socket) -> Answer:
    received = b""
    try:
        while b"\r\n\r\n" not in received and (data := connection.recv(65536)):
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        if not head:
            return Answer(0, {}, b"")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(body) < length and (data := connection.recv(65536)):
            body += data
    except ConnectionResetError:
        return Answer(0, {}, b"")
    return Answer(int(first.split(" ")[1]), headers, body)
