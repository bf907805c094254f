"""How a run becomes a response: streamed in a format, or whole."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import Query, Request

from app.adapters.eventlog.base import LogReader
from app.adapters.llm.base import TextDelta
from app.api.encoders.events import EventsEncoder
from app.api.encoders.simple import SimpleEncoder
from app.api.failures import error_of
from app.api.sse import Encoder, EventStream, EventStreamResponse
from app.schemas.chat import ChatResponse, CitationRead, UsageRead
from app.services.chat import StartedRun
from app.services.generation.events import CitationAdded, RunCancelled, RunEvent, RunFailed, UsageReported

StreamFormat = Annotated[Literal["simple", "events"], Query(description="How the events look.")]


def stream_answer(
    request: Request, run: StartedRun, *, stream_format: Literal["simple", "events"], headers: Mapping[str, str]
) -> EventStreamResponse:
    """A new run's answer as it comes. A run that fails before the first byte is an ordinary refusal instead."""
    encode = _RaisingEncoder(_encoder(request, run.record.run_id, stream_format))
    stream = EventStream(run.live.log.reader(), encode, request.app.state.pacemaker)
    return EventStreamResponse(stream, headers=headers, is_status_open=True)


def replay_run(
    request: Request, reader: LogReader[RunEvent], *, run_id: str, stream_format: Literal["simple", "events"]
) -> EventStreamResponse:
    """A run read again: that it failed is what there is to read, not a failure to read it."""
    encode = _encoder(request, run_id, stream_format)
    return EventStreamResponse(EventStream(reader, encode, request.app.state.pacemaker), headers={"X-Run-Id": run_id})


def _encoder(request: Request, run_id: str, stream_format: Literal["simple", "events"]) -> Encoder[RunEvent]:
    return SimpleEncoder(request.state.request_id) if stream_format == "simple" else EventsEncoder(run_id)


class _RaisingEncoder:
    """Raises a failure that comes before any byte, a ping too: then it can still be an error with the right status."""

    def __init__(self, inner: Encoder[RunEvent]) -> None:
        self._inner = inner
        self._has_begun = False

    def __call__(self, events: Sequence[RunEvent], first: int) -> bytes:
        if self._has_begun:
            return self._inner(events, first)
        if events and isinstance(failed := events[-1], RunFailed) and not self._inner(events[:-1], first):
            raise error_of(failed)
        encoded = self._inner(events, first)
        self._has_begun = bool(encoded) or not events
        return encoded


async def require_recorded(run: StartedRun) -> None:
    """Wait until a run in the background can be found again; raises what hinders it."""
    is_recorded = await run.live.wait_until_recorded()
    ended = run.live.log.events[-1]
    if not is_recorded and isinstance(ended, RunFailed):
        raise error_of(ended)


def answer_of(run: StartedRun) -> ChatResponse:
    """The whole answer of a run that has ended; raises what a failed one amounts to."""
    events, record = run.live.log.events, run.record
    ended = events[-1]
    if isinstance(ended, RunFailed):
        raise error_of(ended)
    usage = [event for event in events if isinstance(event, UsageReported)]
    return ChatResponse(
        run_id=record.run_id,
        conversation_id=record.conversation_id,
        message_id=record.answer_id,
        agent_id=record.agent_id,
        model=record.model,
        status="cancelled" if isinstance(ended, RunCancelled) else "completed",
        text="".join(event.text for event in events if isinstance(event, TextDelta)),
        citations=[CitationRead(**asdict(event)) for event in events if isinstance(event, CitationAdded)],
        usage=UsageRead(
            input_tokens=usage[-1].input_tokens if usage else 0, output_tokens=usage[-1].output_tokens if usage else 0
        ),
    )
