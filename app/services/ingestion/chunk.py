"""Cuts a parsed document into the pieces that are embedded and cited: exact spans, one page, one place in the outline."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from math import ceil

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from app.adapters.parsing.base import Heading, ParsedDocument

CountTokens = Callable[[str], int]

_CHARS_PER_TOKEN = 4
"""English prose has four to five characters a word piece, so such a piece rarely needs a second cut."""
_SMALL_SHARE = 0.25
_WINDOW_CHARS = 1 << 14
"""What the splitter sees at once: its time is quadratic in a run without breaks (193 s for 5 MB of one letter)."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: ``text`` is its text at ``[start, end)``, in code points, on ``page`` (None: no pages).

    ``headings`` is the path of titles above it, highest first.
    """

    ordinal: int
    text: str
    start: int
    end: int
    page: int | None
    headings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    start: int
    end: int
    path: tuple[Heading, ...]
    page: int | None


def chunk(
    document: ParsedDocument,
    *,
    max_tokens: int,
    count_tokens: CountTokens,
    overlap_tokens: int = 0,
    is_markdown: bool = False,
) -> list[Chunk]:
    """Cut a document into chunks of at most ``max_tokens`` by ``count_tokens``; the same input gives the same chunks.

    Cuts fall on page ends and before headings, then between paragraphs, lines, sentences, words, in this order of
    preference. Sections shorter than a quarter of a chunk join the next one on their page, under the headings that
    they share, so that a lone heading stands with what it heads. A chunk is never blank. A single character of more
    than ``max_tokens`` makes a chunk of its own, the one way to pass the cap.

    ``overlap_tokens`` (about; at most half a chunk) repeats the end of a chunk at the start of the next. It defaults
    to none: a reader is shown a hit with its neighbours, so repeating text only fills the index and the results twice.
    Raises ValueError for a cap below 1 or a negative overlap.
    """
    if max_tokens < 1 or overlap_tokens < 0:
        raise ValueError("max_tokens must be positive and overlap_tokens not negative")
    cut = _Cut(document.text, max_tokens, count_tokens, overlap_tokens, is_markdown=is_markdown)
    spans = [
        (start, end, section)
        for section in _joined(_sections(document), max_tokens * _CHARS_PER_TOKEN)
        for start, end in cut.spans(section.start, section.end)
    ]
    return [
        Chunk(ordinal, document.text[start:end], start, end, section.page, tuple(h.title for h in section.path))
        for ordinal, (start, end, section) in enumerate(spans)
    ]


def _sections(document: ParsedDocument) -> Iterator[_Section]:
    """Cut at page edges and heading starts; what lies between pages is separators."""
    pages: list[tuple[int, int, int | None]] = [(page.start, page.end, page.number) for page in document.pages]
    path: tuple[Heading, ...] = ()
    headings = iter([*document.headings, None])
    coming = next(headings)
    for page_start, page_end, number in pages or [(0, len(document.text), None)]:
        start = page_start
        while coming is not None and coming.start < page_end:
            if coming.start > start:
                yield _Section(start, coming.start, path, number)
                start = coming.start
            path = (*(above for above in path if above.level < coming.level), coming)
            coming = next(headings)
        if start < page_end:
            yield _Section(start, page_end, path, number)


def _joined(sections: Iterator[_Section], capacity: int) -> Iterator[_Section]:
    """Join a small section with the next on its page, while both fit into one chunk."""
    waiting: _Section | None = None
    for section in sections:
        if waiting is None:
            waiting = section
        elif _may_join(waiting, section, capacity):
            waiting = _Section(waiting.start, section.end, _shared(waiting, section), section.page)
        else:
            yield waiting
            waiting = section
    if waiting is not None:
        yield waiting


def _may_join(before: _Section, after: _Section, capacity: int) -> bool:
    is_small = before.end - before.start < capacity * _SMALL_SHARE
    return is_small and before.page == after.page and after.end - before.start <= capacity


def _shared(before: _Section, after: _Section) -> tuple[Heading, ...]:
    return tuple(
        one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(before.path, after.path, strict=False))
    )


class _Cut:
    """Cuts spans of one text into pieces within the token cap, each trimmed of white space and none blank."""

    def __init__(
        self, text: str, max_tokens: int, count_tokens: CountTokens, overlap_tokens: int, *, is_markdown: bool
    ) -> None:
        self._text = text
        self._max_tokens = max_tokens
        self._count_tokens = count_tokens
        self._overlap_share = min(overlap_tokens / max_tokens, 0.5)
        self._splitter = MarkdownSplitter if is_markdown else TextSplitter

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Cut a section; a piece far smaller than its neighbour joins it where the cap allows."""
        waiting: tuple[int, int] | None = None
        for span in self._capped(start, end):
            if waiting and self._may_join(waiting, span):
                waiting = (waiting[0], span[1])
            else:
                if waiting:
                    yield waiting
                waiting = span
        if waiting:
            yield waiting

    def _may_join(self, before: tuple[int, int], after: tuple[int, int]) -> bool:
        small, large = sorted((before[1] - before[0], after[1] - after[0]))
        return small < large * _SMALL_SHARE and self._count_tokens(self._text[before[0] : after[1]]) <= self._max_tokens

    def _capped(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        lead = self._lead(start, end)
        for piece_start, piece_end in self._windows(start + lead, end, self._max_tokens * _CHARS_PER_TOKEN - lead):
            yield from self._within_cap(start if lead else piece_start, piece_end)
            lead = 0

    def _lead(self, start: int, end: int) -> int:
        """Measure a short first line: a heading, which the splitter would leave alone before a long paragraph."""
        line_end = self._text.find("\n", start, end)
        is_short = start < line_end <= start + self._max_tokens * _CHARS_PER_TOKEN * _SMALL_SHARE
        has_body = is_short and not self._text[line_end:end].isspace()
        return line_end - start if has_body and not self._text[start:line_end].isspace() else 0

    def _windows(self, start: int, end: int, capacity: int) -> Iterator[tuple[int, int]]:
        while start < end:
            stop = self._window_end(start, end, max(_WINDOW_CHARS, 4 * capacity))
            yield from self._pieces(start, stop, capacity)
            start = stop

    def _window_end(self, start: int, end: int, window: int) -> int:
        """End a window at a paragraph, else a line, else a word, in its last quarter; anywhere if there is none."""
        stop = start + window
        if stop >= end:
            return end
        edges = (self._text.rfind(edge, stop - window // 4, stop) for edge in ("\n\n", "\n", " "))
        return next((edge for edge in edges if edge >= 0), stop)

    def _pieces(self, start: int, end: int, capacity: int) -> Iterator[tuple[int, int]]:
        splitter = self._splitter(capacity, overlap=int(capacity * self._overlap_share))
        for offset, piece in splitter.chunk_indices(self._text[start:end]):
            content = piece.strip()
            if content:
                begin = start + offset + piece.index(content)
                yield begin, begin + len(content)

    def _within_cap(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Cut a piece of too many tokens into even parts, again where one of them is still too dense."""
        tokens = self._count_tokens(self._text[start:end])
        if tokens <= self._max_tokens or end - start == 1:
            yield start, end
            return
        parts = ceil(tokens / self._max_tokens)
        for piece_start, piece_end in self._pieces(start, end, ceil((end - start) / parts)):
            yield from self._within_cap(piece_start, piece_end)
