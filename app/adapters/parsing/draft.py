"""A document while a parser writes it: text, pages and headings with exact offsets, refused when it grows too long."""

from app.adapters.parsing.base import Heading, PageSpan, ParsedDocument, ParseFailure
from app.adapters.parsing.normalise import normalise, tidy


class Draft:
    """Collects blocks of text; a block is a paragraph, a row of a table, a page.

    ``max_chars`` bounds the text in code points; beyond it every method raises ParseFailure ``text_too_long``.
    """

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._parts: list[str] = []
        self._length = 0
        self._pages: list[PageSpan] = []
        self._headings: list[Heading] = []
        self.title: str | None = None

    def block(self, text: str, *, separator: str = "\n\n") -> int:
        """Append a block after ``separator`` and give the offset at which it starts; an empty block leaves no trace."""
        text = tidy(text)
        if text and self._length:
            self._append(separator)
        start = self._length
        self._append(text)
        return start

    def verbatim(self, text: str) -> None:
        """Append normalised text whose blanks mean something (Markdown, CSV) exactly as it is."""
        self._append(text)

    @property
    def length(self) -> int:
        """The code points written so far."""
        return self._length

    def _append(self, text: str) -> None:
        self._length += len(text)
        if self._length > self._max_chars:
            raise too_long(self._max_chars)
        self._parts.append(text)

    def heading(self, level: int, title: str) -> None:
        """Append a heading as a block of its own and remember where it stands."""
        title = one_line(title)
        if title:
            self._headings.append(Heading(level, title, self.block(title)))

    def mark_heading(self, level: int, title: str, start: int) -> None:
        """Remember a heading whose text is already part of a block."""
        self._headings.append(Heading(level, one_line(title), start))

    def page(self, number: int, text: str) -> PageSpan:
        """Append a page, empty or not, and give its span."""
        start = self.block(text)
        self._pages.append(PageSpan(number, start, self._length))
        return self._pages[-1]

    def finish(self) -> ParsedDocument:
        """Give the document; raises ParseFailure ``no_text`` when nothing was written."""
        text = "".join(self._parts)
        if not text:
            raise ParseFailure("no_text", "The file holds no text. Check that it is the right file and not empty.")
        title = one_line(self.title or "") or None
        return ParsedDocument(text, tuple(self._pages), tuple(sorted(self._headings, key=_start)), title)


def _start(heading: Heading) -> int:
    return heading.start


def one_line(text: str) -> str:
    """Normalise and fold every run of white space into one blank, at most 500 characters of it."""
    return " ".join(normalise(text).split())[:500]


def too_long(max_chars: int) -> ParseFailure:
    """Make the failure of a text that is longer than we take."""
    return ParseFailure(
        "text_too_long", f"The file holds more than {max_chars} characters of text. Split it into several files."
    )
