"""What happens in a run, as typed events; how they look on a wire is the encoders' business."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from app.adapters.llm.base import ReasoningDelta, TextDelta


@dataclass(frozen=True, slots=True)
class RunCreated:
    """The run has begun."""

    name: ClassVar[str] = "run.created"
    conversation_id: str
    agent_id: str | None


@dataclass(frozen=True, slots=True)
class RetrievalCompleted:
    """``count`` passages were found for the model to read."""

    name: ClassVar[str] = "retrieval.completed"
    count: int


@dataclass(frozen=True, slots=True)
class CitationAdded:
    """The answer relies on a passage; ``quote`` is the document's text from ``start`` to ``end`` in code points."""

    name: ClassVar[str] = "citation.added"
    index: int
    document_id: str
    chunk_id: str
    title: str
    page: int | None
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Tokens of the run so far, as the vendor counts them; ``model`` is the one that answers, as provider:model."""

    name: ClassVar[str] = "usage"
    input_tokens: int
    output_tokens: int
    model: str | None = None


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """The answer is whole and saved."""

    name: ClassVar[str] = "run.completed"
    message_id: str


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """Somebody stopped the run; what was said is saved."""

    name: ClassVar[str] = "run.cancelled"
    message_id: str | None


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run broke; what was said is saved."""

    name: ClassVar[str] = "run.failed"
    code: str
    message: str
    status: int = 500
    retry_after: float | None = None


RunEnded = RunCompleted | RunCancelled | RunFailed
RunEvent = TextDelta | ReasoningDelta | RunCreated | RetrievalCompleted | CitationAdded | UsageReported | RunEnded


def interrupted() -> RunFailed:
    """How a run ends whose process stopped."""
    return RunFailed(
        code="interrupted",
        message="The server stopped while it answered. Ask again; what was saved is in the conversation.",
        status=503,
    )


_KINDS: dict[str, Any] = {
    kind.name: kind
    for kind in (RunCreated, RetrievalCompleted, CitationAdded, UsageReported, RunCompleted, RunCancelled, RunFailed)
}
_DELTAS: dict[str, type[TextDelta] | type[ReasoningDelta]] = {
    "text.delta": TextDelta,
    "reasoning.delta": ReasoningDelta,
}


def pack(events: Iterable[RunEvent]) -> list[dict[str, Any]]:
    """Events as compact JSON: neighbouring deltas of a kind share one entry, yet keep their borders and numbers."""
    packed: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, TextDelta | ReasoningDelta):
            name = "text.delta" if isinstance(event, TextDelta) else "reasoning.delta"
            if packed and packed[-1]["type"] == name:
                packed[-1]["texts"].append(event.text)
            else:
                packed.append({"type": name, "texts": [event.text]})
        else:
            packed.append({"type": event.name, **asdict(event)})
    return packed


def unpack(packed: Iterable[dict[str, Any]]) -> list[RunEvent]:
    """The events that ``pack`` packed, with the same numbers."""
    events: list[RunEvent] = []
    for entry in packed:
        fields = dict(entry)
        kind = fields.pop("type")
        if kind in _DELTAS:
            events.extend(_DELTAS[kind](text) for text in fields["texts"])
        else:
            events.append(_KINDS[kind](**fields))
    return events
