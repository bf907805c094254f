"""Words and sentences of any language, by rules alone: what the extractive model reads with."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# \w leaves out combining marks, which would cut Hindi or Tamil words at their vowel signs; hence the whole blocks.
_MARKS: Final = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u0900-\u0963\u0966-\u0dff"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u1000-\u109f\u1780-\u17d3\u200c\u200d"
)
_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17d3\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(f"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])[\\w{_MARKS}])+")
_IS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
_SUFFIX: Final = re.compile(r"(?<=[a-z]{3})(?:'s|ations?|ings?|ed|ers?|ion|ions|ly|e|es|s)$")
_PREFIX_LENGTH: Final = 6

_BOUNDARY: Final = re.compile(
    r"""(?<=[.!?…])["'”’»)\]]*(?:\[\d+\])*\s+(?=["'“‘«(\[¿¡]*[^\Wa-z_])  # a stop, then something that opens a sentence
    |(?<=[。！？｡।॥۔؟])["'”’」』）]*\s*                                  # a stop that needs no space
    |\s*\n\s*\n\s*                                                      # a paragraph ends
    |\s*\n\s*(?=[#|•*\-–]|\d+[.)]\s)                                    # a heading, a list item or a table row starts
    """,
    re.VERBOSE,
)
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(\[\"'“])(?:[A-Z]|[A-Z](?:\.[A-Z])+|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|Gen|Col|Lt|Sgt|Capt|Rev|Hon|vs|cf|etc|approx|"
    r"ca|No|Nos|Nr|Fig|Figs|Eq|Sec|Ch|Vol|pp|p|art|Art|Inc|Ltd|Co|Corp|e\.g|i\.e|al|Jan|Feb|Mar|Apr|Aug|Sept?|Oct|Nov|Dec)\.$"
)
_MAX_SENTENCE: Final = 600


def words(text: str) -> list[str]:
    """Index terms: folded, lightly stemmed words, and character bigrams where a script has no spaces."""
    terms: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if is_unspaced(word):
            terms.extend(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        else:
            terms.append(stem(word))
    return terms


def is_unspaced(term: str) -> bool:
    """Whether a term comes from a script that is written without spaces."""
    return _IS_UNSPACED.match(term) is not None


def stem(word: str) -> str:
    """An English suffix off, else the first letters, which is what most inflected languages keep."""
    if word.isascii():
        return _SUFFIX.sub("", word) if len(word) > 3 else word  # noqa: PLR2004
    return word[:_PREFIX_LENGTH]


def sentences(text: str) -> list[str]:
    """The text's sentences, each as it stands there but for its white space; very long ones are cut at a space."""
    return [piece for sentence in _joined(text) for piece in _pieces(" ".join(sentence.split()))]


def _joined(text: str) -> Iterator[str]:
    """Pieces between boundaries, put together again where the stop belonged to an abbreviation."""
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        piece = text[start : boundary.end()]
        if piece.rstrip().endswith(".") and _ABBREVIATION.search(piece.rstrip()) and "\n\n" not in boundary.group():
            continue
        yield piece
        start = boundary.end()
    yield text[start:]


def _pieces(sentence: str) -> Iterator[str]:
    while len(sentence) > _MAX_SENTENCE:
        cut = sentence.rfind(" ", 1, _MAX_SENTENCE)
        cut = cut if cut > 0 else _MAX_SENTENCE
        yield sentence[:cut]
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence
