"""Follow-up questions lean on the one before; whole ones stand alone."""

from app.adapters.llm.base import ChatMessage
from app.services.retrieval.follow_up import merged, queries_of
from app.services.retrieval.passages import FoundPassage

LONG = "How long is the warranty of a frame that was bought last year?"


def turns(*texts: str) -> list[ChatMessage]:
    return [ChatMessage("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)]


def passages(*names: str) -> list[FoundPassage]:
    return [FoundPassage(name, "doc_1", "T", name, 0, 1, None, ()) for name in names]


def test_a_short_question_is_looked_up_behind_the_one_before_it_and_alone() -> None:
    assert queries_of(turns(LONG, "Seven years.", "And for children?")) == [
        f"{LONG}\nAnd for children?",
        "And for children?",
    ]


def test_a_first_question_and_a_whole_one_are_looked_up_as_they_are() -> None:
    assert queries_of(turns("Warranty?")) == ["Warranty?"]
    assert queries_of(turns("Warranty?", "Yes.", LONG)) == [LONG]


def test_of_a_long_question_before_the_end_counts() -> None:
    (both, _) = queries_of(turns("x" * 5000 + "end", "Yes.", "And?"))
    assert both.endswith("end\nAnd?")
    assert len(both) < 1100


def test_what_both_rankings_have_comes_first() -> None:
    ranked = merged([passages("a", "b"), passages("c", "b")], 3)
    assert [passage.chunk_id for passage in ranked] == ["b", "a", "c"]
    assert [passage.chunk_id for passage in merged([passages("a", "b", "c")], 2)] == ["a", "b"]
    assert merged([[], []], 3) == []


def test_of_a_long_message_both_ends_are_looked_up() -> None:
    (query,) = queries_of(turns("What does this say? " + "pasted " * 10_000 + "Is it about boats?"))
    assert query.startswith("What does this say?")
    assert query.endswith("Is it about boats?")
    assert len(query) <= 4001
