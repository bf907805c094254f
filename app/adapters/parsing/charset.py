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
    "[ \n0-9A-Za-z,.\u3001\u3002\u0400-\u04ff\u0590-\u06ff\u0900-\u097f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3]"
)
_EVERYDAY_SHARE = 0.9


def bom_encoding(data: bytes) -> str | None:
    """Name the encoding whose byte order mark opens ``data``; None without a mark."""
    return next((encoding for mark, encoding in _BOMS if data.startswith(mark)), None)


def utf16_without_bom(data: bytes) -> str | None:
    """Name the byte order of UTF-16 without a mark, or None where ``data`` does not look like it.

    Text of an alphabet with few code points above U+00FF has a NUL in every other byte, always on one side. Text
    without spaces or ASCII (Chinese) has none and reads as everyday characters in one byte order only; that weaker
    sign counts only where the bytes are not UTF-8 and hold control bytes, which no single-byte text has.
    """
    sample = data[: _SAMPLE_BYTES & ~1][: len(data) & ~1]
    if not sample:
        return None
    half = len(sample) // 2
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    for nuls, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if nuls > half * 0.3 and others <= nuls * 0.05 and _reads(sample, encoding):
            return encoding
    if is_utf8(sample) or not _CONTROL.search(sample.replace(b"\0", b"\1")):
        return None
    orders = [encoding for encoding in ("utf-16-le", "utf-16-be") if _reads(sample, encoding)]
    return orders[0] if len(orders) == 1 else None


def _reads(sample: bytes, encoding: str) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return len(_EVERYDAY.findall(text)) >= len(text) * _EVERYDAY_SHARE * (0.8 if "\n" in text or " " in text else 1)


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
