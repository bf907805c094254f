"""How a run becomes a response: streamed in a format, or whole."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import Query, Request

from app.adapters.eventlog.base import LogReader
from app.adapters.llm.base import TextDelta
from app.api.encoders.events import EventsEncoder
from app.api.encoders.simple import SimpleEncoder
from app.api.sse import Encoder, EventStream, EventStreamResponse
from app.core.errors import AppError, Overloaded, UpstreamFailed
from app.schemas.chat import ChatResponse, CitationRead, UsageRead
from app.services.chat import StartedRun
from app.services.generation.events import CitationAdded, RunCancelled, RunEvent, RunFailed, UsageReported

_OVERLOADED = 503

StreamFormat = Annotated[Literal["simple", "events"], Query(description="How the events look.")]


async def stream_run(
    request: Request,
    reader: LogReader[RunEvent],
    *,
    run_id: str,
    stream_format: Literal["simple", "events"],
    headers: Mapping[str, str] | None = None,
) -> EventStreamResponse:
    """A response that follows a run's log. A run that fails before the first byte raises, as an ordinary refusal."""
    encode = _RaisingEncoder(_encoder(request, run_id, stream_format))
    stream = EventStream(reader, encode, request.app.state.pacemaker)
    request.app.state.pacemaker.watch(stream)
    try:
        first = await stream.next_bytes()
    finally:
        request.app.state.pacemaker.forget(stream)
    encode.has_begun = True
    return EventStreamResponse(stream, first=first, headers={"X-Run-Id": run_id, **(headers or {})})


def _encoder(request: Request, run_id: str, stream_format: Literal["simple", "events"]) -> Encoder[RunEvent]:
    return SimpleEncoder(request.state.request_id) if stream_format == "simple" else EventsEncoder(run_id)


class _RaisingEncoder:
    """Raises a failure that comes before any byte: then it can still be an HTTP error with the right status."""

    def __init__(self, inner: Encoder[RunEvent]) -> None:
        self._inner = inner
        self.has_begun = False

    def __call__(self, events: Sequence[RunEvent], first: int) -> bytes:
        if self.has_begun:
            return self._inner(events, first)
        last = events[-1] if events else None
        if isinstance(last, RunFailed) and not self._inner(events[:-1], first):
            raise error_of(last)
        encoded = self._inner(events, first)
        self.has_begun = bool(encoded)
        return encoded


def error_of(failed: RunFailed) -> AppError:
    """The refusal that a failed run amounts to."""
    kind = Overloaded if failed.status == _OVERLOADED else UpstreamFailed
    return kind(failed.message, code=failed.code, retry_after=failed.retry_after)


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
