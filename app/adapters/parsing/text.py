"""Plain text in any encoding."""

from typing import BinaryIO

from app.adapters.parsing.base import ParsedDocument
from app.adapters.parsing.decode import decode
from app.adapters.parsing.draft import Draft


def parse(file: BinaryIO, max_chars: int) -> ParsedDocument:
    """Decode and tidy a text file; ``max_chars`` bounds the text in code points.

    Raises ParseFailure ``no_text`` or ``text_too_long``.
    """
    draft = Draft(max_chars)
    draft.block(decode(file.read()))
    return draft.finish()
