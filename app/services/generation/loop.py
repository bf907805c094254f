"""One answer: look things up, ask the model, watch for citations. Yields events; knows no database and no wire."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from app.adapters.llm.base import ChatMessage, ChatModel, ChatRequest, ReasoningDelta, TextDelta, Usage
from app.adapters.llm.fallback import FallbackModel
from app.core import telemetry
from app.services.generation.citations import CitationTracker
from app.services.generation.events import RetrievalCompleted, RunEvent, UsageReported
from app.services.generation.prompt import numbered, system_prompt
from app.services.retrieval.passages import FoundPassage

#: Looks up passages; bound to the tenant and to the question by whoever makes it.
Retrieve = Callable[[], Awaitable[list[FoundPassage]]]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything that an answer depends on. ``retrieve`` None answers from the model alone."""

    model: ChatModel
    model_name: str
    messages: Sequence[ChatMessage]
    instructions: str | None = None
    temperature: float | None = None
    max_tokens: int = 4096
    retrieve: Retrieve | None = field(default=None)


async def answer(spec: RunSpec) -> AsyncGenerator[RunEvent, None]:
    """The events of one answer, in order; raises ModelError where the model fails."""
    passages = None
    if spec.retrieve is not None:
        with telemetry.RETRIEVAL_SECONDS.time():
            passages = await spec.retrieve()
    if passages is not None:
        yield RetrievalCompleted(count=len(passages))
    tracker = CitationTracker(passages or ())
    async with aclosing(spec.model.stream(_request(spec, passages))) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                yield event
                for citation in tracker.feed(event.text):
                    yield citation
            elif isinstance(event, ReasoningDelta):
                yield event
            elif isinstance(event, Usage):
                yield UsageReported(event.input_tokens, event.output_tokens, model=_answering(spec))


def _answering(spec: RunSpec) -> str:
    """The full name of the model that answers, which need not be the one that was asked."""
    if not isinstance(spec.model, FallbackModel) or spec.model.answered_by is None:
        return spec.model_name
    provider, name = spec.model.answered_by
    return name if name == provider else f"{provider}:{name}"


def _request(spec: RunSpec, passages: Sequence[FoundPassage] | None) -> ChatRequest:
    excerpts = None if passages is None else numbered(passages)
    return ChatRequest(
        model=spec.model_name,
        messages=spec.messages,
        system=system_prompt(spec.instructions, excerpts),
        temperature=spec.temperature,
        max_tokens=spec.max_tokens,
        passages=tuple(excerpts or ()),
    )
