"""A parser for the parsing process that does what its file says: dies, eats memory, or never ends."""

import ctypes
import time
from typing import BinaryIO

from app.adapters.parsing.base import ParsedDocument


def parse(file: BinaryIO, max_chars: int) -> ParsedDocument:
    """Obey the file."""
    text = file.read().decode()[:max_chars]
    if "die" in text:
        ctypes.string_at(0)
    if "eat" in text:
        return ParsedDocument(str([bytearray(1 << 26) for _ in range(1 << 10)]))
    while "sleep" in text:
        time.sleep(1)
    return ParsedDocument(text)
