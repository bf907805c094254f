"""What retrieval finds: passages with everything that a citation needs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A chunk that fits the question; ``[start, end)`` are code points of the document's text."""

    chunk_id: str
    document_id: str
    title: str
    text: str
    start: int
    end: int
    page: int | None
    headings: tuple[str, ...]
