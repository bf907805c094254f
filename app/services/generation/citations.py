"""Citations that hold: markers like ``[2]`` in the answer become quotes that stand in the cited document."""

import re
from collections.abc import Iterator, Sequence

from app.services.generation.events import CitationAdded
from app.services.retrieval.passages import FoundPassage

_MARKER = re.compile(r"\[(\d{1,3})\]")
_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"(?<=[.!?。！？।])[\"'”’)\]]*\s+|\n{2,}")
_CLAIM_CHARACTERS = 600
_LONGEST_QUOTE = 400


class CitationTracker:
    """Watches the answer go by. Each passage is cited once, when the answer first relies on it."""

    def __init__(self, passages: Sequence[FoundPassage]) -> None:
        self._passages = passages
        self._cited: set[int] = set()
        self._tail = ""

    def feed(self, text: str) -> Iterator[CitationAdded]:
        """The citations that this piece of the answer completes."""
        if not self._passages:
            return
        self._tail = (self._tail + text)[-_CLAIM_CHARACTERS:]
        if "]" not in text:
            return
        earliest = max(0, len(self._tail) - len(text) - len("[999"))
        for marker in _MARKER.finditer(self._tail, earliest):
            index = int(marker[1])
            if index not in self._cited and 1 <= index <= len(self._passages):
                self._cited.add(index)
                yield cite(index, self._passages[index - 1], _claim_before(self._tail, marker.start()))


def _claim_before(text: str, position: int) -> str:
    """The sentence that a marker closes, without other markers."""
    before = _MARKER.sub(" ", text[:position]).rstrip()
    sentences = [part for part in _SENTENCE_END.split(before) if part.strip()]
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

    The score is the F1 of the two word sets, as SQuAD measures answers (Rajpurkar et al. 2016).
    """
    exact = re.search(r"\s+".join(map(re.escape, claim.split())), text) if claim.strip() else None
    if exact is not None:
        return exact.start(), exact.end()
    words = _words(claim)
    spans = list(_sentences(text))
    start, end = max(spans, key=lambda span: _overlap(_words(text[span[0] : span[1]]), words))
    return start, min(end, start + _LONGEST_QUOTE)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for gap in _SENTENCE_END.finditer(text):
        if text[start : gap.start()].strip():
            yield start, gap.start()
        start = gap.end()
    if text[start:].strip() or start == 0:
        yield start, len(text)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def _overlap(left: frozenset[str], right: frozenset[str]) -> float:
    shared = len(left & right)
    return 2 * shared / (len(left) + len(right)) if shared else 0.0
