"""What the parsing process wrote, checked field by field: its words are as untrusted as the file that it read."""

import re
from dataclasses import dataclass
from itertools import pairwise

from pydantic import TypeAdapter

from app.adapters.parsing.base import Heading, PageSpan, ParsedDocument
from app.adapters.parsing.normalise import normalise

_MOST_TITLE_CHARS = 500
_MOST_MESSAGE_CHARS = 500
_DEEPEST_LEVEL = 10
_CODE = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no document; ``detail`` names the error and its place in our code, for the log alone."""

    code: str
    message: str
    detail: str


@dataclass(frozen=True, slots=True)
class Result:
    """One of ``document`` and ``failure``, and the layers that confined the process (see ``confine``)."""

    layers: list[str]
    document: ParsedDocument | None = None
    failure: Failure | None = None


def read_result(output: bytes, max_text_chars: int) -> Result:
    """Decode the JSON of the child; raises ValueError where it breaks a promise of Result or of ParsedDocument."""
    result = TypeAdapter(Result).validate_json(output, strict=True)
    if (result.document is None) == (result.failure is None):
        raise ValueError("neither or both of document and failure")
    if result.document and not _is_sound(result.document, max_text_chars):
        raise ValueError("a field of the document is out of its bounds")
    if result.failure and not _is_presentable(result.failure):
        raise ValueError("a code or a message that no parser of ours writes")
    return result


def _is_presentable(failure: Failure) -> bool:
    return bool(_CODE.fullmatch(failure.code)) and len(failure.message) <= _MOST_MESSAGE_CHARS


def _is_sound(document: ParsedDocument, max_text_chars: int) -> bool:
    length = len(document.text)
    return (
        0 < length <= max_text_chars
        and normalise(document.text) == document.text
        and (document.title is None or _is_title(document.title))
        and _are_pages(document.pages, length)
        and all(_is_heading(heading, length) for heading in document.headings)
        and all(before.start <= after.start for before, after in pairwise(document.headings))
    )


def _is_title(title: str) -> bool:
    return 0 < len(title) <= _MOST_TITLE_CHARS and normalise(title) == title


def _are_pages(pages: tuple[PageSpan, ...], length: int) -> bool:
    edges = [edge for page in pages for edge in (page.start, page.end)]
    is_ordered = edges == sorted(edges) and all(0 <= edge <= length for edge in edges)
    return is_ordered and [page.number for page in pages] == list(range(1, len(pages) + 1))


def _is_heading(heading: Heading, length: int) -> bool:
    return 1 <= heading.level <= _DEEPEST_LEVEL and 0 <= heading.start < length and _is_title(heading.title)
