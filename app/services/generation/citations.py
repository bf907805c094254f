"""Citations that hold: markers like ``[2]`` in the answer become quotes that stand in the cited document."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from app.adapters.llm.lexical import words
from app.services.generation.events import CitationAdded
from app.services.retrieval.passages import FoundPassage

_MARKER = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3}){0,20})\]")
_MARKER_OR_CODE = re.compile(rf"(?P<ticks>`+)|(?P<line>\n)|{_MARKER.pattern}")
_NUMBER = re.compile(r"\d+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|(?<=[。！？।])[\"'”’」』）)\]]*\s*|\n{2,}")
_CLAIM_CHARACTERS = 600
_LONGEST_QUOTE = 400
_LEAST_QUOTE = 12
_FENCE = 3


class CitationTracker:
    """Watches the answer go by. Each passage is cited once, when the answer first relies on it; code relies on none."""

    def __init__(self, passages: Sequence[FoundPassage]) -> None:
        self._passages = passages
        self._cited: set[int] = set()
        self._before = ""
        self._unread: list[str] = []
        self._open_ticks = 0

    def feed(self, text: str) -> Iterator[CitationAdded]:
        """The citations that this piece of the answer completes."""
        if not self._passages:
            return
        self._unread.append(text)
        if "]" not in text:
            return
        start, answer = len(self._before), self._before + "".join(self._unread)
        end = answer.rindex("]") + 1
        for marker in self._markers(answer, start, end):
            for number in _NUMBER.findall(marker[0]):
                yield from self._cite(int(number), answer, marker.start())
        self._before, self._unread = answer[max(0, end - _CLAIM_CHARACTERS) : end], [answer[end:]]

    def _markers(self, answer: str, start: int, end: int) -> Iterator[re.Match[str]]:
        """Markers outside code: within backticks, and within a fence of three or more, brackets are an index."""
        for found in _MARKER_OR_CODE.finditer(answer, start, end):
            if ticks := found["ticks"]:
                if not self._open_ticks:
                    self._open_ticks = len(ticks)
                elif len(ticks) == self._open_ticks or len(ticks) > self._open_ticks >= _FENCE:
                    self._open_ticks = 0
            elif found["line"]:
                self._open_ticks = self._open_ticks if self._open_ticks >= _FENCE else 0
            elif not self._open_ticks:
                yield found

    def _cite(self, index: int, answer: str, position: int) -> Iterator[CitationAdded]:
        if index not in self._cited and 1 <= index <= len(self._passages):
            self._cited.add(index)
            passage, before = self._passages[index - 1], answer[max(0, position - _CLAIM_CHARACTERS) : position]
            quoted = _MARKER.split(before.rstrip())[-1].strip()
            yield cite(index, passage, quoted if _exact(passage.text, quoted) else _last_claim(before))


def _last_claim(text: str) -> str:
    """The sentence that a marker behind the text closes, without other markers."""
    sentences = [part for part in _SENTENCE_END.split(_MARKER.sub(" ", text).rstrip()) if part.strip()]
    return sentences[-1] if sentences else ""


def cite(index: int, passage: FoundPassage, claim: str) -> CitationAdded:
    """A citation whose quote is the sentence of the passage that shares most words with the claim."""
    start, end = best_quote(passage.text, claim)
    return CitationAdded(
        index=index,
        document_id=passage.document_id,
        chunk_id=passage.chunk_id,
        title=passage.title,
        page=passage.page,
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
    )


def best_quote(text: str, claim: str) -> tuple[int, int]:
    """Where the sentence stands that supports a claim best: exact where the claim quotes it, else by shared words.

    White space may differ, and a claim of less than 12 characters is too little to be a quotation. The score is the
    F1 of the two word sets, as SQuAD measures answers (Rajpurkar et al. 2016).
    """
    exact = _exact(text, claim)
    if exact is not None:
        return exact.start(), min(exact.end(), exact.start() + _LONGEST_QUOTE)
    wanted = frozenset(words(claim))
    start, end = max(_sentences(text), key=lambda span: _overlap(frozenset(words(text[slice(*span)])), wanted))
    return start, min(end, start + _LONGEST_QUOTE)


def _exact(text: str, claim: str) -> re.Match[str] | None:
    """Where the text has the claim word for word, white space aside."""
    return re.search(r"\s+".join(map(re.escape, claim.split())), text) if len(claim) >= _LEAST_QUOTE else None


def _sentences(text: str) -> list[tuple[int, int]]:
    """The spans of the sentences, with the marks that close them and without the white space around."""
    borders = [0, *(gap.end() for gap in _SENTENCE_END.finditer(text)), len(text)]
    pieces = [(start, text[start:end]) for start, end in pairwise(borders)]
    spans = [(start + len(p) - len(p.lstrip()), start + len(p.rstrip())) for start, p in pieces if p.strip()]
    return spans or [(0, len(text))]


def _overlap(left: frozenset[str], right: frozenset[str]) -> float:
    shared = len(left & right)
    return 2 * shared / (len(left) + len(right)) if shared else 0.0
