"""An incremental parser of server-sent events, lean because a model sends one event a token."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class SseEventTooLargeError(ValueError):
    """One event grew beyond the limit without ending."""


class SseParser:
    """Bytes in, split anywhere; the data of complete events out, by the parse rules of WHATWG HTML, section 9.2.6.

    Only ``data`` is kept: ``event``, ``id`` and ``retry`` say nothing to a reader that neither reconnects nor
    dispatches by name (model vendors repeat the name inside the data). An event that the end of the stream cuts
    short is dropped, as the rules want. ``max_event_bytes`` bounds what is held of one event.
    """

    __slots__ = ("_data", "_held", "_is_after_cr", "_is_at_start", "_max_event_bytes", "_tail")

    def __init__(self, max_event_bytes: int = 8 << 20) -> None:
        self._max_event_bytes = max_event_bytes
        self._tail: list[bytes] = []
        self._data: list[bytes] = []
        self._held = 0
        self._is_after_cr = False
        self._is_at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that ``chunk`` completes; raises SseEventTooLargeError."""
        if self._is_after_cr or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        if b"\n" not in chunk:
            self._hold(chunk)
            return []
        if self._tail:
            chunk = b"".join((*self._tail, chunk))
            self._held -= sum(map(len, self._tail))
            self._tail.clear()
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if self._is_at_start:
            self._is_at_start = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        events = self._take(lines)
        if rest:
            self._hold(rest)
        return events

    def _take(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:"):
                self._held += len(line)
                data.append(line[6:] if line.startswith(b" ", 5) else line[5:])
            elif not line:
                if data:
                    events.append(data[0] if len(data) == 1 else b"\n".join(data))
                    data.clear()
                    self._check()
                    self._held = 0
            elif line == b"data":
                data.append(b"")
        if data:
            self._check()
        return events

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """The chunk with CRLF and CR as LF; a CR ends its line at once, so a LF that opens the next chunk is dropped."""
        if not chunk:
            return chunk
        if self._is_after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._is_after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, part: bytes) -> None:
        self._tail.append(part)
        self._held += len(part)
        self._check()

    def _check(self) -> None:
        if self._held > self._max_event_bytes:
            raise SseEventTooLargeError(f"an event is larger than {self._max_event_bytes} bytes")
