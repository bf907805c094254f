"""The port to parsers: the bytes of a file in, its text with pages and headings out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PageSpan:
    """Where a page's text stands: ``[start, end)`` in code points of the document's text; numbers start at 1."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading and where its line starts, in code points; level 1 is the highest."""

    level: int
    title: str
    start: int


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document's text, normalised (NFC, line feeds, no NUL), and what is known of its structure.

    ``pages`` is empty for formats without pages, otherwise it covers every page in order. ``headings`` are in order.
    """

    text: str
    pages: tuple[PageSpan, ...] = ()
    headings: tuple[Heading, ...] = ()
    title: str | None = None


class ParseFailure(Exception):
    """The file cannot be read; ``code`` is stable (``pdf_encrypted``, ``empty_text``...), ``message`` says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class DocumentParser(Protocol):
    """Parses files of the types that were recognised by their content."""

    async def parse(self, path: Path, content_type: str) -> ParsedDocument:
        """Parse the file; raises ParseFailure on every failure, a crash, a time-out or a memory limit among them."""
        ...
