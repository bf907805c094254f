"""The model that needs no key: it quotes the sentences of the passages that share most with the question."""

import math
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.adapters.llm.base import ChatRequest, Finished, ModelEvent, Passage, TextDelta, Usage
from app.adapters.llm.lexical import is_unspaced, sentences, words

NO_PASSAGES: Final = "There are no passages to answer from."
NO_ANSWER: Final = "None of the passages answers this question."
THRESHOLD: Final = 0.5
"""The least share of the question (by weight) that a passage must hold.

On 600 questions of SQuAD 1.1 dev with the 8 best passages of BM25, 0.5 answers 90 % where the passage is there and
speaks up wrongly in 23 % where all 8 come from other articles (0.2 % where they are random); 0.6 does 78 % and 10 %.
"""
#: Characters of a message that are read, from its end: word by word, more would hold up everybody else.
_LONGEST_QUESTION: Final = 4000
_UNSPACED_THRESHOLD: Final = 0.5
"""Of character bigrams many straddle two words, so half the share says as much; measured on XQuAD in Chinese."""

_MAX_SENTENCES: Final = 3
_UNSEEN_SENTENCES: Final = 50
"""Counted besides those at hand: in one short passage every word would else be common, and its absence decisive."""
_CONTEXT_SHARE: Final = 0.5
_RANK_SHARE: Final = 0.04
_TYPE_BONUS: Final = 0.15
_STOP_WORDS: Final = frozenset(
    words(
        "a an the of in on at to for from by with about as into is are was were be been being do does did done has have had "
        "and or but not no if than then that this these those there it its his her their our your my i you he she we they "
        "what which who whom whose when where why how can could should would will may might must shall me us them so such "
        "many much far long old often please tell explain describe give list name kind type sort also according "
        "el la los las un una de del en y o que qué cuál cuáles quién cuándo dónde cómo por para con se es son fue al cuánto cuántos "
        "le les des du et est sont que qui quoi quel quelle quand où comment pourquoi dans pour avec "
        "der die das den dem des ein eine und oder ist sind war wer was wann wo wie warum welche welcher welches von zu mit für "
        "и в на с по к из у о что кто где когда как почему какой какая какие сколько был была было это для "
        "का की के में है हैं था थे ने को से और क्या कौन कब कहाँ कैसे कितने किस पर यह वह"
    )
)
_ASKS_FOR_NUMBER: Final = re.compile(
    r"\b(when|how (many|much|long|old|far|often|tall|large|big|high)|what (year|date|percentage|time|number|price)|"
    r"which year|cuándo|cuánt[oa]s?|quand|combien|wann|wie ?viele?|когда|сколько)\b|多少|何时|几",
    re.IGNORECASE,
)
_ASKS_FOR_NAME: Final = re.compile(r"\b(who|whom|whose|where|quién|dónde|qui|où|wer|wo|кто|где)\b", re.IGNORECASE)
_DIGIT: Final = re.compile(r"\d")
_NAME: Final = re.compile(r"\w[^.!?]*?\s([A-ZÀ-ÞА-Я]\w+)")


@dataclass(frozen=True, slots=True)
class _Query:
    """The question, what each of its words weighs, and the share of that weight that a passage must hold."""

    text: str
    weights: dict[str, float]
    threshold: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence, where it stands, and how well it fits (0 to a bit over 1)."""

    text: str
    number: int
    terms: frozenset[str]
    score: float


class ExtractiveModel:
    """No language model: it understands nothing, writes nothing of its own and only quotes.

    The answer is 1 to 3 sentences of the passages as they stand there (white space folded), each followed by the
    ``[n]`` of its passage; or one plain sentence, without a marker, that says that nothing fits or that there is
    nothing to quote. The last user message is the question. A sentence is scored by the share of the question's
    words in it, weighted by how rare they are in the passages (the idf of BM25), with half the weight for words that
    its passage has elsewhere, a small prior for the passage's rank and a bonus where the question asks for a number or
    a name and the sentence holds one.

    Tokens in ``Usage`` are an estimate: one for every four characters of the question, the passages and the answer.
    """

    provider = "extractive"

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield the answer word by word, at once."""
        question = next((m.content for m in reversed(request.messages) if m.role == "user"), "")[-_LONGEST_QUESTION:]
        answer = self._answer(question, request.passages)
        for word in re.findall(r"\S+\s*", answer):
            yield TextDelta(word)
        read = len(question) + sum(len(passage.text) for passage in request.passages)
        yield Usage(input_tokens=math.ceil(read / 4), output_tokens=math.ceil(len(answer) / 4))
        yield Finished("stop")

    async def close(self) -> None:
        """Nothing to close."""

    def _answer(self, question: str, passages: Sequence[Passage]) -> str:
        if not passages:
            return NO_PASSAGES
        chosen = select(question, passages, self._threshold)
        if not chosen:
            return NO_ANSWER
        return " ".join(f"{candidate.text} [{candidate.number}]" for candidate in chosen)


def select(question: str, passages: Sequence[Passage], threshold: float) -> list[_Candidate]:
    """The sentences to quote, best first; none where no passage holds enough of the question.

    Enough is measured half over the passage and half over its best two neighbouring sentences.
    """
    asked = set(words(question))
    asked = asked - _STOP_WORDS or asked
    unspaced = sum(map(is_unspaced, asked)) / max(1, len(asked))
    threshold *= 1 - unspaced * (1 - _UNSPACED_THRESHOLD)
    read = [[(text, words(text)) for text in sentences(passage.text)] for passage in passages]
    query = _Query(question, _weights(asked, [terms for passage in read for _, terms in passage]), threshold)
    candidates = [
        replace(candidate, score=candidate.score - _RANK_SHARE * rank)
        for rank, (passage, lines) in enumerate(zip(passages, read, strict=True))
        for candidate in _scored(query, passage, lines)
    ]
    candidates.sort(key=lambda candidate: -candidate.score)
    return list(_complementary(candidates, query.weights))


def _weights(asked: set[str], lines: Sequence[Sequence[str]]) -> dict[str, float]:
    """The share of the question that each of its words makes up, by the root of its idf among the sentences.

    The root, since of plain idf the words that no passage has would take most (area under the curve .907 -> .922).
    """
    frequency = Counter(term for line in lines for term in asked.intersection(line))
    count = len(lines) + _UNSEEN_SENTENCES
    idf = {t: math.sqrt(math.log(1 + (count - frequency[t] + 0.5) / (frequency[t] + 0.5))) for t in asked}
    total = sum(idf.values())
    return {term: weight / total for term, weight in idf.items()} if total else {}


def _scored(query: _Query, passage: Passage, lines: Sequence[tuple[str, list[str]]]) -> Iterator[_Candidate]:
    weights = query.weights
    around = set(words(" ".join((passage.title, *passage.headings)))).union(*(terms for _, terms in lines))
    in_passage = sum(weights[term] for term in weights.keys() & around)
    found_in = [weights.keys() & set(terms) for _, terms in lines]
    in_pairs = [sum(weights[term] for term in a | b) for a, b in zip(found_in, (*found_in[1:], set()), strict=True)]
    if (in_passage + max(in_pairs, default=0)) / 2 < query.threshold:
        return
    for (text, terms), found in zip(lines, found_in, strict=True):
        if found:
            share = sum(weights[term] for term in found)
            score = share + _CONTEXT_SHARE * (in_passage - share) + _fit(query.text, text, terms)
            yield _Candidate(text, passage.number, frozenset(found), score)


def _fit(question: str, text: str, terms: Sequence[str]) -> float:
    """Whether a sentence looks like an answer of the kind asked for; a heading looks like none."""
    if len(terms) < 4 or text.startswith("#") or text.endswith("?"):  # noqa: PLR2004
        return -2 * _TYPE_BONUS
    wants_number = _ASKS_FOR_NUMBER.search(question) and _DIGIT.search(text)
    wants_name = _ASKS_FOR_NAME.search(question) and _NAME.search(text)
    return _TYPE_BONUS if wants_number or wants_name else 0.0


def _complementary(candidates: Sequence[_Candidate], weights: dict[str, float]) -> Iterator[_Candidate]:
    """The best, then those nearly as good that add something that the question asked for."""
    covered: set[str] = set()
    seen: set[str] = set()
    for candidate in candidates:
        adds = sum(weights[term] for term in candidate.terms - covered)
        if seen and (candidate.score < 0.6 * candidates[0].score or adds < 0.1 or candidate.text in seen):  # noqa: PLR2004
            continue
        yield candidate
        covered |= candidate.terms
        seen.add(candidate.text)
        if len(seen) == _MAX_SENTENCES:
            return
