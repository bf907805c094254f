"""Opaque ids: a prefix that names the kind, and a UUIDv7 in Crockford base32 that sorts by time."""

import os
import re
import threading
import time
from typing import Final, Literal
from uuid import UUID, uuid5

IdPrefix = Literal[
    "tnt", "usr", "agt", "kb", "doc", "chk", "conv", "msg", "run", "key", "whk", "evt", "job", "req", "idm"
]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_CHUNK_NAMESPACE: Final = UUID("6f0a3c1e-4d0b-5d6a-9a53-2f1f8f6f7d11")
_ID = re.compile(r"^[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}$")


class _MonotonicClock:
    """Nanoseconds that never repeat in one process, in steps that survive the loss of 8 bits in a UUIDv7."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def tick(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() >> 8)
            return self._last << 8


_clock = _MonotonicClock()


def _uuid7() -> int:
    """A UUIDv7 (RFC 9562, section 5.7) whose sub-millisecond counter makes ids of one process strictly increase."""
    milliseconds, rest = divmod(_clock.tick(), 1_000_000)
    counter = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    return milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | random


def _encode(number: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def new_id(prefix: IdPrefix) -> str:
    """A new id such as ``doc_01jz...``: ids made later in one process sort after earlier ones."""
    return f"{prefix}_{_encode(_uuid7())}"


def id_of_uuid(prefix: IdPrefix, value: UUID) -> str:
    """The public id of a UUID that was derived elsewhere (chunk ids are uuid5)."""
    return f"{prefix}_{_encode(value.int)}"


def uuid_of_id(identifier: str) -> UUID:
    """The UUID inside a public id; raises ValueError where the text is no id."""
    if not is_id(identifier):
        raise ValueError("not an id")
    number = 0
    for character in identifier.rsplit("_", 1)[1]:
        number = number << 5 | _ALPHABET.index(character)
    return UUID(int=number & ((1 << 128) - 1))


def is_id(text: str) -> bool:
    """Whether the text has the form of an id of ours (not whether it exists)."""
    return _ID.fullmatch(text) is not None


def chunk_uuid(tenant_id: str, document_id: str, generation: int, ordinal: int) -> UUID:
    """The name of a chunk: the same document version cut the same way gives the same ids, so redoing work changes nothing."""
    return uuid5(_CHUNK_NAMESPACE, f"{tenant_id}/{document_id}/{generation}/{ordinal}")
