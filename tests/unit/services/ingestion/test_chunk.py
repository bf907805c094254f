"""Chunks are exact spans within the cap, on one page, under the right headings, and lose nothing."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.parsing.base import Heading, PageSpan, ParsedDocument
from app.services.ingestion.chunk import chunk

TEXTS = st.text(st.sampled_from("abc.,! \n\t\u4f60\u597d\u0301\U0001f600\u200d#-|*`\u00a0"), min_size=1, max_size=400)


def words(text: str) -> int:
    """A stand-in tokenizer: a token for each ASCII word and for every other visible character."""
    return sum(1 if part.isascii() else len(part) for part in text.split()) + 2


def paged(pages: list[str]) -> ParsedDocument:
    spans, start = [], 0
    for number, text in enumerate(pages, start=1):
        spans.append(PageSpan(number, start, start + len(text)))
        start += len(text) + 2
    return ParsedDocument("\n\n".join(pages), tuple(spans))


def with_headings(text: str, *levels_and_titles: tuple[int, str]) -> ParsedDocument:
    headings = tuple(Heading(level, title, text.index(title)) for level, title in levels_and_titles)
    return ParsedDocument(text, headings=headings)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(TEXTS, min_size=1, max_size=4),
    st.integers(3, 40),
    st.integers(0, 20),
    st.sampled_from(["text", "markdown"]),
    st.data(),
)
def test_every_chunk_is_an_exact_span_of_one_page_within_the_cap(
    pages: list[str], cap: int, overlap: int, kind: str, data: st.DataObject
) -> None:
    document = paged(pages)
    starts = data.draw(st.lists(st.integers(0, len(document.text) - 1), max_size=5).map(sorted))
    levels = data.draw(st.lists(st.integers(1, 6), min_size=len(starts), max_size=len(starts)))
    headings = tuple(Heading(level, f"h{start}", start) for level, start in zip(levels, starts, strict=True))
    document = ParsedDocument(document.text, document.pages, headings)
    chunks = chunk(document, max_tokens=cap, count_tokens=words, overlap_tokens=overlap, is_markdown=kind == "markdown")
    assert [piece.ordinal for piece in chunks] == list(range(len(chunks)))
    for piece in chunks:
        assert piece.text == document.text[piece.start : piece.end]
        assert piece.text.strip()
        assert words(piece.text) <= cap or len(piece.text) == 1
        page = document.pages[(piece.page or 0) - 1]
        assert page.start <= piece.start < piece.end <= page.end


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.integers(3, 40), st.sampled_from(["text", "markdown"]))
def test_without_overlap_every_visible_character_is_in_exactly_one_chunk(text: str, cap: int, kind: str) -> None:
    chunks = chunk(ParsedDocument(text), max_tokens=cap, count_tokens=words, is_markdown=kind == "markdown")
    assert all(before.end <= after.start for before, after in pairwise(chunks))
    covered = {index for piece in chunks for index in range(piece.start, piece.end)}
    assert [index for index, letter in enumerate(text) if not letter.isspace() and index not in covered] == []


def test_a_chunk_carries_its_path_of_headings_and_never_ends_with_the_next_heading() -> None:
    body = "Some sentence that fills the section. " * 8
    text = f"Guide\n\n{body}\n\nInstall\n\n{body}\n\nLinux\n\n{body}\n\nUse\n\n{body}"
    document = with_headings(text, (1, "Guide"), (2, "Install"), (3, "Linux"), (2, "Use"))
    chunks = chunk(document, max_tokens=64, count_tokens=words)
    opened = {piece.text.split("\n")[0]: piece.headings for piece in chunks if "\n" in piece.text}
    assert opened == {
        "Guide": ("Guide",),
        "Install": ("Guide", "Install"),
        "Linux": ("Guide", "Install", "Linux"),
        "Use": ("Guide", "Use"),
    }
    assert all(not piece.text.endswith(title) for piece in chunks for title in ("Install", "Linux", "Use"))


def test_small_sections_share_a_chunk_under_their_common_headings() -> None:
    document = with_headings("Faq\n\nOne\n\nyes\n\nTwo\n\nno", (1, "Faq"), (2, "One"), (2, "Two"))
    (only,) = chunk(document, max_tokens=64, count_tokens=words)
    assert (only.text, only.headings) == (document.text, ("Faq",))


def test_dense_scripts_are_cut_further_until_they_fit() -> None:
    chunks = chunk(ParsedDocument("数据库的设计。" * 200), max_tokens=100, count_tokens=words)
    assert {words(piece.text) <= 100 for piece in chunks} == {True}
    assert min(len(piece.text) for piece in chunks) > 40


def test_overlap_repeats_the_end_of_the_chunk_before() -> None:
    text = " ".join(f"word{n}." for n in range(400))
    chunks = chunk(ParsedDocument(text), max_tokens=50, count_tokens=words, overlap_tokens=10)
    assert all(after.start < before.end for before, after in pairwise(chunks))


@pytest.mark.parametrize("text", ["A" * 2_000_000, "\n" * 2_000_000 + "x", "lorem ipsum " * 160_000])
def test_a_text_without_breaks_is_cut_in_linear_time(text: str) -> None:
    started = time.monotonic()
    assert chunk(ParsedDocument(text), max_tokens=256, count_tokens=lambda piece: len(piece) // 4)
    assert time.monotonic() - started < 10


def test_a_cap_below_one_token_is_refused() -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        chunk(ParsedDocument("x"), max_tokens=0, count_tokens=words)
