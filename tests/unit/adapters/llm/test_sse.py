from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.llm.sse import SseEventTooLargeError, SseParser


def parsed(*chunks: bytes) -> list[bytes]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def by_the_rules(stream: bytes) -> list[bytes]:
    """The parse rules of WHATWG HTML 9.2.6 word by word, over a whole stream."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[bytes] = []
    buffer = b""
    for line in text.split(b"\n")[:-1]:
        if not line:
            if buffer:
                events.append(buffer[:-1])
            buffer = b""
            continue
        field, colon, value = line.partition(b":")
        if colon and not field:
            continue
        if field == b"data":
            buffer += value.removeprefix(b" ") + b"\n"
    return events


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\ndata\ndata\n\n", [b"", b"\n"]),
        (b": comment\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: \xef\xbb\xbfa\n\n", [b"\xef\xbb\xbfa"]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", [b"a", b"b", b"c"]),
        (b"data: a\x00b\n\n", [b"a\x00b"]),
        (b"dataset: a\nDATA: b\n data: c\n\n", []),
        (b"data: cut off\n", []),
        (b"\n\n\n", []),
    ],
)
def test_examples(stream: bytes, events: list[bytes]) -> None:
    assert parsed(stream) == events == by_the_rules(stream)
    assert parsed(*(stream[i : i + 1] for i in range(len(stream)))) == events


PIECES = [
    b"data",
    b"data:",
    b"data: ",
    b":",
    b" ",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"x",
    b"event: e\n",
    b"\xef\xbb\xbf",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.lists(st.integers(0, 60), max_size=8))
def test_any_stream_split_anywhere_reads_as_the_rules_say(pieces: Sequence[bytes], cuts: Sequence[int]) -> None:
    stream = b"".join(pieces)
    at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    assert parsed(*(stream[a:b] for a, b in pairwise(at))) == by_the_rules(stream)


@pytest.mark.parametrize("part", [b"data: " + b"x" * 40, b"x" * 40, b"data: " + b"x" * 30 + b"\n", b": " + b"x" * 40])
def test_an_event_beyond_the_limit_is_refused(part: bytes) -> None:
    parser = SseParser(max_event_bytes=100)
    parser.feed(part)
    with pytest.raises(SseEventTooLargeError):
        _ = [parser.feed(part) for _ in range(3)]


def test_the_limit_is_for_one_event_not_for_the_stream() -> None:
    parser = SseParser(max_event_bytes=100)
    assert sum(len(parser.feed(b"data: " + b"x" * 60 + b"\n\ndata: ha")) for _ in range(50)) == 50


def test_one_large_event_in_one_chunk_is_refused_too() -> None:
    with pytest.raises(SseEventTooLargeError):
        SseParser(max_event_bytes=100).feed(b"data: " + b"x" * 200 + b"\n\n")
