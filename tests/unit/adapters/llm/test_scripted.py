import pytest

from app.adapters.llm.base import ChatMessage, ChatRequest, Finished, Passage, TextDelta, Usage
from app.adapters.llm.errors import ModelCutOff, ModelRateLimited
from app.adapters.llm.scripted import ScriptedModel


def asking(model: str, *passages: Passage) -> ChatRequest:
    return ChatRequest(model, [ChatMessage("user", "Where is it?")], passages=passages)


async def test_the_name_sets_words_and_pace() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    events = [event async for event in ScriptedModel(sleep=sleep).stream(asking("ft50-it20-n3"))]
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["word1 ", "word2 ", "word3 "]
    assert slept == [0.05, 0.02, 0.02]
    assert events[-2:] == [Usage(3, 3), Finished("stop")]


async def test_the_name_sets_failures() -> None:
    with pytest.raises(ModelRateLimited):
        _ = [event async for event in ScriptedModel().stream(asking("e429"))]
    events = ScriptedModel().stream(asking("n9-cut2"))
    said = [await anext(events), await anext(events)]
    with pytest.raises(ModelCutOff):
        await anext(events)
    assert [event.text for event in said if isinstance(event, TextDelta)] == ["word1 ", "word2 "]


async def test_an_echo_repeats_the_question_and_cites_every_passage() -> None:
    model = ScriptedModel()
    request = asking("echo", Passage(1, "a", "x"), Passage(4, "b", "y"))
    text = "".join([event.text async for event in model.stream(request) if isinstance(event, TextDelta)])
    assert text == "You asked: Where is it? [1] [4]"
    assert list(model.requests) == [request]


async def test_a_script_ends_at_its_finish() -> None:
    model = ScriptedModel([TextDelta("a"), Finished("length"), TextDelta("never")])
    events = [event async for event in model.stream(asking("any"))]
    assert events[1:] == [Finished("length")]
