"""Text to BM25 weights, for any mix of languages: words by script, stemmed where a script tells the language."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, partial
from typing import Final, Literal

from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, StopwordsSet, TokenizerType

SparseWeights = dict[int, float]

#: Each script whose words are stemmed, with the language that most of its text is in; the others are left as they are.
_STEMMED: Final = ("english", "russian", "arabic", "greek")
_SCRIPTS: Final = re.compile(
    r"(?P<english>[\u0000-\u024f\u1e00-\u1eff])|(?P<greek>[\u0370-\u03ff\u1f00-\u1fff])"
    r"|(?P<russian>[\u0400-\u052f])|(?P<arabic>[\u0600-\u06ff\u0750-\u077f])"
)
#: Scripts that write no spaces between words (Han, kana, Thai, Lao, Burmese, Khmer), and Hangul, whose words carry
#: particles: their runs are cut into overlapping pairs of characters, as Lucene's CJKAnalyzer does.
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    r"\U00020000-\U0003ffff]+"
)
#: BM25's average length in terms: a chunk of 250 word pieces has about 190 words, two thirds of them no stop words.
_AVERAGE_LENGTH: Final = 128.0
_LAST_REMEMBERED: Final = 0x2FFF


class _WordCharacters(dict[int, int | None]):
    r"""A table for ``str.translate``: letters, digits and marks stay, format characters go, the rest parts words.

    Marks stay because Devanagari, Thai and Arabic vowels are marks: a word pattern such as ``\w+`` breaks there.
    """

    def __missing__(self, code: int) -> int | None:
        category = unicodedata.category(chr(code))
        value = code if category[0] in "LNM" else None if category == "Cf" else ord(" ")
        if code <= _LAST_REMEMBERED:
            self[code] = value
        return value


_WORD_CHARACTERS: Final = _WordCharacters()


def terms(text: str) -> Iterator[str]:
    """The words of a text in lower case and compatibility form, unspaced scripts as pairs of characters."""
    for word in unicodedata.normalize("NFKC", text).lower().translate(_WORD_CHARACTERS).split():
        if word.isascii() or _UNSPACED.search(word) is None:
            yield word
        else:
            yield from _cut(word)


def _cut(word: str) -> Iterator[str]:
    end = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > end:
            yield word[end : run.start()]
        yield from _pairs(run.group())
        end = run.end()
    if end < len(word):
        yield word[end:]


def _pairs(run: str) -> Iterator[str]:
    if len(run) == 1:
        yield run
    for first in range(len(run) - 1):
        yield run[first : first + 2]


def encode_passage(text: str) -> SparseWeights:
    """The BM25 weights of a passage without IDF, which the store applies when it searches."""
    return _encode(text, "passage")


def encode_query(text: str) -> SparseWeights:
    """Weight 1 for each different term of a question; empty where it has none."""
    return _encode(text, "query")


def _encode(text: str, kind: Literal["passage", "query"]) -> SparseWeights:
    """Each script by its own encoder; each is normalised by the length of its own part of the text."""
    by_language: defaultdict[str, list[str]] = defaultdict(list)
    for term in terms(text):
        by_language[_language(term)].append(term)
    weights: SparseWeights = {}
    for language, words in by_language.items():
        encoder, joined = _encoder(language), " ".join(words)
        vector = encoder.embed_document(joined) if kind == "passage" else encoder.embed_query(joined)
        weights.update(zip(vector.indices, vector.values, strict=True))
    return weights


def _language(term: str) -> str:
    script = _SCRIPTS.match(term)
    return "none" if script is None or script.lastgroup is None else script.lastgroup


@cache
def _encoder(language: str) -> Bm25:
    """The engine's encoder over words that are already parted; accents are folded, so that "cafe" finds "café"."""
    config = partial(Bm25Config, tokenizer=TokenizerType.Whitespace, avg_len=_AVERAGE_LENGTH, ascii_folding=True)
    if language in _STEMMED:
        return Bm25(config(language=language))
    return Bm25(config(stemmer=DisabledStemmer(), stopwords=StopwordsSet()))
