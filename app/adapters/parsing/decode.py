"""Decoding text whose encoding nobody declared."""

import re

from charset_normalizer import from_bytes

from app.adapters.parsing.charset import bom_encoding, utf16_without_bom

_BROKEN_UTF8_SHARE = 0.1
_SAMPLE_BYTES = 1 << 18


def decode(data: bytes, declared: str | None = None) -> str:
    """Decode a text of unknown encoding; never fails: bytes that fit nothing become U+FFFD.

    The order: byte order mark, UTF-16 by its shape, strict UTF-8, UTF-8 with a few broken bytes, the encoding that the
    text ``declared`` about itself (HTML), a statistical guess.
    """
    unmarked = bom_encoding(data) or utf16_without_bom(data)
    if unmarked:
        return data.decode(unmarked, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_legacy(data, declared)


def _decode_legacy(data: bytes, declared: str | None) -> str:
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    if broken <= sum(map(len, re.findall("[^\x00-\x7f]+", text))) * _BROKEN_UTF8_SHARE:
        return text
    return data.decode(declared or _guess(data[:_SAMPLE_BYTES]), "replace")


def _guess(sample: bytes) -> str:
    best = from_bytes(sample).best()
    return best.encoding if best else "cp1252"
