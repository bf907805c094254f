"""The prompt: instructions, rules, and passages that stay quotations."""

import re

from hypothesis import given
from hypothesis import strategies as st

from app.services.generation.prompt import numbered, system_prompt
from app.services.retrieval.passages import FoundPassage


def found(text: str, title: str = "Handbook", *, page: int | None = None) -> FoundPassage:
    return FoundPassage("chk_1", "doc_1", title, text, 0, len(text), page, ("Warranty", "Frames"))


def test_passages_are_numbered_and_say_where_they_come_from() -> None:
    prompt = system_prompt("Be kind.", numbered([found("One."), found("Two.", page=4)]))
    assert prompt.startswith("Be kind.\n\nAnswer from the numbered passages")
    assert '<passage number="1">\nHandbook, Warranty > Frames\n\nOne.\n</passage>' in prompt
    assert '<passage number="2">\nHandbook, page 4, Warranty > Frames\n\nTwo.\n</passage>' in prompt
    assert "doc_1" not in prompt


def test_nothing_found_and_nothing_looked_up_are_different_things() -> None:
    assert "No passage was found" in system_prompt("Be kind.", [])
    assert system_prompt("Be kind.", None) == "Be kind."
    assert system_prompt(None, None).startswith("You are a helpful assistant")


TAGS = st.sampled_from(["<", "/", ">", "passage", "PASSAGE", " ", "\n", "number", "&lt;", "x", "ſ"])


@given(st.lists(TAGS).map("".join), st.lists(TAGS).map("".join))
def test_no_document_can_open_or_close_a_passage(text: str, title: str) -> None:
    prompt = system_prompt("Be kind.", numbered([found(text, title)]))
    assert len(re.findall(r"<\s*/\s*passage", prompt, re.IGNORECASE)) == 1
    assert len(re.findall(r"<\s*passage", prompt, re.IGNORECASE)) == 1
