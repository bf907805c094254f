"""Citations: markers however they are cut, quotes that stand in the passage."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.generation.citations import CitationTracker, best_quote
from app.services.retrieval.passages import FoundPassage

TEXT = "Frames last seven years. Batteries last\ntwo years!  “Returns” take forty days."


def passage(text: str = TEXT, number: int = 1) -> FoundPassage:
    return FoundPassage(f"chk_{number}", f"doc_{number}", "T", text, 100, 100 + len(text), 3, ())


def cited(*pieces: str, passages: int = 3) -> list[int]:
    tracker = CitationTracker([passage(number=number) for number in range(1, passages + 1)])
    return [citation.index for piece in pieces for citation in tracker.feed(piece)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("[1]", [1]),
        ("a [2][1], b [2]", [2, 1]),
        ("[1, 3]", [1, 3]),
        ("[0] [4] [999] [1234] [] [a] [-1]", []),
        ("`a[1]` [2]", [2]),
        ("``a`[1]`` [2]", [2]),
        ("```py\na[1]\n`b[3]`\n```\n[2]", [2]),
        ("a ` lonely tick\n[2]", [2]),
        ("x" * 5000 + "[1]" + "y" * 5000 + "[2]", [1, 2]),
    ],
)
def test_markers_count_the_same_however_they_are_cut(answer: str, expected: list[int]) -> None:
    assert cited(answer) == expected
    assert cited(*answer) == expected
    for cut in range(0, len(answer), max(1, len(answer) // 40)):
        assert cited(answer[:cut], answer[cut:]) == expected


def test_without_passages_nothing_is_cited() -> None:
    assert cited("[1]", passages=0) == []


@pytest.mark.parametrize(
    ("claim", "quote"),
    [
        ("Batteries last two years!", "Batteries last\ntwo years!"),
        ("How long do batteries last? Two years", "Batteries last\ntwo years!"),
        ("Returns took forty days", "“Returns” take forty days."),
        ("", "Frames last seven years."),
        ("a", "Frames last seven years."),
    ],
)
def test_the_quote_is_the_sentence_that_supports_the_claim(claim: str, quote: str) -> None:
    start, end = best_quote(TEXT, claim)
    assert TEXT[start:end] == quote


def test_the_quote_is_of_the_sentence_before_the_marker() -> None:
    tracker = CitationTracker([passage(), passage()])
    first, second = tracker.feed("Frames last seven years [1]. Batteries: two years. [2]")
    assert (first.quote, second.quote) == ("Frames last seven years", "Batteries last\ntwo years!")
    assert (second.start, second.end, second.page) == (125, 125 + len(second.quote), 3)


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_quote_is_never_outside_nor_blank(text: str, claim: str) -> None:
    start, end = best_quote(text, claim)
    assert 0 <= start <= end <= len(text)
    assert end - start <= 400
    assert bool(text[start:end].strip()) == bool(text.strip())


def test_a_long_answer_full_of_markers_is_read_once() -> None:
    started = time.perf_counter()
    assert cited(*["word [7] "] * 50_000) == []
    assert cited("word [7] " * 50_000) == []
    assert time.perf_counter() - started < 5


def test_what_is_quoted_whole_is_cited_whole_however_many_points_it_has() -> None:
    text = "| Durability | Survives all. |\n| Models | Anthropic. Any server. |\n- Director: Dr. Ines Falkenrath (since 2019)"
    found = FoundPassage("chk_1", "doc_1", "T", text, 0, len(text), None, ())
    for quoted in ("| Models | Anthropic. Any server. |", "- Director: Dr. Ines Falkenrath (since 2019)"):
        (citation,) = CitationTracker([found]).feed(f"{quoted} [1]")
        assert citation.quote == quoted
