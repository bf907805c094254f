"""Telling text from bytes that are not, by byte order marks, by the shape of UTF-16 and by control bytes."""

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_SAMPLE_BYTES = 1 << 16
_MOST_CONTROLS = 0.005
_MOST_NULS = 0.2
_EVERYDAY = re.compile(
    "[\t\n\r -~\u00a0-\u024f\u0370-\u06ff\u0900-\u0e7f\u2010-\u2026\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
_EVERYDAY_SHARE = 0.9
_ODD_IN_ASCII = 0.2


def bom_encoding(data: bytes) -> str | None:
    """Name the encoding whose byte order mark opens ``data``; None without a mark."""
    return next((encoding for mark, encoding in _BOMS if data.startswith(mark)), None)


def utf16_without_bom(data: bytes) -> str | None:
    """Name the byte order of UTF-16 without a mark, or None where ``data`` does not look like it.

    The sign is NULs and control bytes, which no other text has, that vanish in one byte order: read so, nearly all are
    characters of living scripts. Where the bytes are ASCII as well (stray NULs in a text), many of them are asked for.
    """
    sample = data[: min(_SAMPLE_BYTES, len(data)) & ~1]
    odd = len(_CONTROL.findall(sample))
    nuls = sample.count(0)
    fewest = len(sample) * _ODD_IN_ASCII if is_utf8(sample) else 0
    if max(odd, nuls) <= fewest:
        return None
    orders = [encoding for encoding in ("utf-16-le", "utf-16-be") if _reads(sample, encoding)]
    return orders[0] if len(orders) == 1 else None


def _reads(sample: bytes, encoding: str) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return len(_EVERYDAY.findall(text)) >= max(len(text), 1) * _EVERYDAY_SHARE


def is_utf8(data: bytes) -> bool:
    """Say whether ``data`` is UTF-8, a character cut at its end allowed."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def is_text(head: bytes) -> bool:
    """Say whether the first bytes of a file are text in some encoding; stray NULs are forgiven, control bytes are not."""
    if bom_encoding(head) or utf16_without_bom(head):
        return True
    visible = head.replace(b"\0", b"")
    if len(head) - len(visible) > len(head) * _MOST_NULS:
        return False
    return len(_CONTROL.findall(visible)) <= len(visible) * _MOST_CONTROLS
