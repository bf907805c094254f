"""The loop: retrieval, then the model, then citations as they come about."""

import pytest

from app.adapters.llm.base import ChatMessage, ReasoningDelta, TextDelta, Usage
from app.adapters.llm.errors import ModelUnavailable
from app.adapters.llm.fallback import FallbackModel
from app.adapters.llm.scripted import ScriptedModel, Step
from app.services.generation.events import CitationAdded, RetrievalCompleted, RunEvent, UsageReported
from app.services.generation.loop import Retrieve, RunSpec, answer
from app.services.retrieval.passages import FoundPassage

PASSAGE = FoundPassage("chk_1", "doc_1", "T", "Frames last seven years.", 0, 24, None, ())


async def retrieve() -> list[FoundPassage]:
    return [PASSAGE]


def spec(*steps: Step, retrieve: Retrieve | None = None) -> RunSpec:
    return RunSpec(ScriptedModel(steps), "scripted:x", [ChatMessage("user", "How long?")], "Be kind.", 0.5, 9, retrieve)


async def events_of(wanted: RunSpec) -> list[RunEvent]:
    return [event async for event in answer(wanted)]


async def test_a_citation_comes_right_behind_the_text_that_completes_it() -> None:
    wanted = spec(ReasoningDelta("Hm"), TextDelta("Seven [1"), TextDelta("]."), Usage(3, 4), retrieve=retrieve)
    events = await events_of(wanted)
    assert [type(event) for event in events] == [
        RetrievalCompleted,
        ReasoningDelta,
        TextDelta,
        TextDelta,
        CitationAdded,
        UsageReported,
    ]
    assert events[-1] == UsageReported(3, 4, model="scripted:x")


async def test_the_model_is_asked_with_everything_that_was_set() -> None:
    wanted = spec(TextDelta("Ok."), retrieve=retrieve)
    await events_of(wanted)
    assert isinstance(wanted.model, ScriptedModel)
    (request,) = wanted.model.requests
    assert (request.model, request.temperature, request.max_tokens) == ("scripted:x", 0.5, 9)
    assert [passage.text for passage in request.passages] == [PASSAGE.text]
    assert PASSAGE.text in request.system


async def test_without_retrieval_nothing_is_looked_up_nor_cited() -> None:
    events = await events_of(spec(TextDelta("Seven [1].")))
    assert [type(event) for event in events] == [TextDelta]


async def test_usage_names_the_model_that_answered() -> None:
    first = ScriptedModel([ModelUnavailable("down")])
    second = ScriptedModel([TextDelta("Yes."), Usage(1, 2)])
    model = FallbackModel([(first, "a"), (second, "b")])
    events = await events_of(RunSpec(model, "scripted:a", [ChatMessage("user", "Is it?")]))
    assert events[-1] == UsageReported(1, 2, model="scripted:b")


async def test_a_failure_is_passed_on_behind_what_was_said() -> None:
    events = answer(spec(TextDelta("Sev"), ModelUnavailable("down")))
    assert isinstance(await anext(events), TextDelta)
    with pytest.raises(ModelUnavailable):
        await anext(events)
