"""Chat: a question in, an answer out, streamed or whole."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.access import ChatCaller
from app.api.answers import answer_of, require_recorded, stream_answer
from app.api.bodies import StrictJsonRoute
from app.api.deps import ApplicationDep, TenantDep
from app.api.errors import Responses, errors
from app.api.sse import EventStreamResponse
from app.schemas.chat import ChatOnceRequest, ChatResponse, ChatStreamRequest, RunAccepted
from app.services.chat import wait_for

router = APIRouter(prefix="/chat", tags=["chat"], route_class=StrictJsonRoute)

_ACCEPTED: Responses = {202: {"model": RunAccepted, "description": "The run has begun."}}
_STREAM: Responses = {
    200: {
        "description": "Server-sent events.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 2\ndata: {"text": "Two years"}\n\nid: 3\ndata: {"text": " [1]."}\n\nid: 5\ndata: [DONE]\n\n',
            }
        },
    }
}
_EXAMPLES = {
    "question": {"summary": "A question", "value": {"message": "How long is the warranty?"}},
    "events": {
        "summary": "With citations in the stream",
        "value": {"message": "How long is the warranty?", "stream_format": "events"},
    },
    "messages": {
        "summary": "As OpenAI and Anthropic clients send it",
        "value": {"messages": [{"role": "user", "content": "How long is the warranty?"}], "agent_id": "support"},
    },
}
Question = Annotated[ChatStreamRequest, Body(openapi_examples=_EXAMPLES)]


@router.post(
    "/stream",
    status_code=200,
    summary="Ask, and stream the answer",
    response_class=EventStreamResponse,
    responses=_STREAM | errors(404, 409, 413, 502),
)
async def stream_chat(
    caller: ChatCaller, tenant: TenantDep, app: ApplicationDep, request: Request, question: Question
) -> EventStreamResponse:
    """The run goes on when you hang up: read it again at `/runs/{X-Run-Id}/stream`."""
    run = await app.chat.start(caller, tenant, question)
    headers = {
        "X-Run-Id": run.record.run_id,
        "X-Conversation-Id": run.record.conversation_id,
        "Content-Location": f"/api/v1/runs/{run.record.run_id}/stream?stream_format={question.stream_format}",
    }
    return stream_answer(request, run, stream_format=question.stream_format, headers=headers)


@router.post("", summary="Ask, and get the whole answer", responses=_ACCEPTED | errors(404, 409, 413, 502))
async def ask(
    caller: ChatCaller, tenant: TenantDep, app: ApplicationDep, response: Response, question: ChatOnceRequest
) -> ChatResponse | RunAccepted:
    """With `background: true` it answers 202 at once, with the run to follow."""
    run = await app.chat.start(caller, tenant, question)
    response.headers["X-Run-Id"] = run.record.run_id
    response.headers["X-Conversation-Id"] = run.record.conversation_id
    if question.background:
        await require_recorded(run)
        response.status_code = 202
        return RunAccepted(run_id=run.record.run_id, conversation_id=run.record.conversation_id)
    await wait_for(run)
    return answer_of(run)
