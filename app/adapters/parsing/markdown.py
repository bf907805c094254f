"""Markdown, kept as it is written: readers and models understand it, so only the headings are worked out."""

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import BinaryIO

from markdown_it import MarkdownIt

from app.adapters.parsing.base import ParsedDocument
from app.adapters.parsing.decode import decode
from app.adapters.parsing.draft import Draft
from app.adapters.parsing.normalise import normalise

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(\S.*)$", re.MULTILINE)


def parse(file: BinaryIO, max_chars: int) -> ParsedDocument:
    """Keep the text, find its ATX and Setext headings (CommonMark, so none inside code fences).

    The title is that of the YAML front matter, else the first heading of level 1. Raises ParseFailure ``no_text`` or
    ``text_too_long``.
    """
    text = normalise(decode(file.read())).strip("\n")
    draft = Draft(max_chars)
    draft.verbatim(text if text.strip() else "")
    front = _FRONT_MATTER.match(text)
    body = front.end() if front else 0
    headings = [(level, title, start) for level, title, start in _headings(text) if start >= body]
    for level, title, start in headings:
        draft.mark_heading(level, title, start)
    draft.title = _front_title(front[1] if front else "") or next(
        (title for level, title, _ in headings if level == 1), None
    )
    return draft.finish()


def _front_title(front_matter: str) -> str | None:
    found = _FRONT_TITLE.search(front_matter)
    return found[1].strip("\"' ") if found else None


def _headings(text: str) -> Iterator[tuple[int, str, int]]:
    starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    tokens = MarkdownIt("commonmark").disable("inline").parse(text)
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open" and opening.map and content.content.strip():
            yield int(opening.tag.removeprefix("h")), content.content, starts[opening.map[0]]
