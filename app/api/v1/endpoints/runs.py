"""Runs: one answer each, read live or again, and cancelled."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request

from app.api.access import ChatCaller
from app.api.answers import StreamFormat, replay_run
from app.api.deps import ApplicationDep, PageDep, RunsReading
from app.api.errors import Responses, errors
from app.api.sse import EventStreamResponse
from app.schemas.base import PageOf, page_of
from app.schemas.run import RunRead

_EVENT_NUMBER = re.compile(r"[0-9]{1,18}")

router = APIRouter(prefix="/runs", tags=["runs"])

_STREAM: Responses = {
    200: {
        "description": "Server-sent events.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 2\nevent: text.delta\ndata: {"type":"text.delta","sequence_number":2,"text":"Two years"}\n\n',
            }
        },
    }
}


@router.get("", summary="List runs", responses=errors())
async def list_runs(_: ChatCaller, runs: RunsReading, page: PageDep) -> PageOf[RunRead]:
    """Newest first unless `order=asc`."""
    return page_of(RunRead, await runs.list(page))


@router.get("/{run_id}", summary="Get a run", responses=errors(404))
async def get_run(caller: ChatCaller, app: ApplicationDep, runs: RunsReading, run_id: str) -> RunRead:
    """Where it stands and what it used."""
    await app.follower.until_recorded(caller, run_id)
    return RunRead.model_validate(await runs.get(run_id))


@router.get(
    "/{run_id}/stream",
    status_code=200,
    summary="Read a run's stream",
    response_class=EventStreamResponse,
    responses=_STREAM | errors(404),
)
async def read_run_stream(
    caller: ChatCaller,
    app: ApplicationDep,
    request: Request,
    run_id: str,
    starting_after: Annotated[int | None, Query(ge=0, description="Number of the last event that you have.")] = None,
    last_event_id: Annotated[str | None, Header(description="The same, as browsers send it.")] = None,
    stream_format: StreamFormat = "events",
) -> EventStreamResponse:
    """From any event number on, live or finished, as often as you like: reading does not ask the model again."""
    after = starting_after if starting_after is not None else _number(last_event_id)
    reader = await app.follower.open(caller, run_id, after)
    return replay_run(request, reader, run_id=run_id, stream_format=stream_format)


@router.post("/{run_id}/cancel", summary="Cancel a run", responses=errors(404, 409))
async def cancel_run(caller: ChatCaller, app: ApplicationDep, run_id: str) -> RunRead:
    """Stops the call to the model and keeps what was said."""
    return RunRead.model_validate(await app.follower.cancel(caller, run_id))


def _number(last_event_id: str | None) -> int:
    """A number as we give them; whatever else a client sends there means that it has nothing yet."""
    return int(last_event_id) if last_event_id and _EVENT_NUMBER.fullmatch(last_event_id) else 0
