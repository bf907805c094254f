"""The simple format: ``data: {"text": ...}`` for each piece of text, and ``data: [DONE]`` at the end."""

from collections.abc import Sequence

import orjson

from app.adapters.llm.base import TextDelta
from app.schemas.error import ErrorBody, ErrorResponse
from app.services.generation.events import RunCancelled, RunCompleted, RunEvent, RunFailed


class SimpleEncoder:
    """Encodes text and the end; readers that know no more than that are served with ``id`` lines for resuming."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id

    def __call__(self, events: Sequence[RunEvent], first: int) -> bytes:
        """The bytes of a batch."""
        dumps = orjson.dumps
        parts = []
        for number, event in enumerate(events, first):
            if type(event) is TextDelta:
                parts.append(b'id: %d\ndata: {"text":%b}\n\n' % (number, dumps(event.text)))
            elif isinstance(event, RunFailed):
                parts.append(b"id: %d\ndata: %b\n\ndata: [DONE]\n\n" % (number, self._error(event)))
            elif isinstance(event, RunCompleted | RunCancelled):
                parts.append(b"id: %d\ndata: [DONE]\n\n" % number)
        return b"".join(parts)

    def _error(self, event: RunFailed) -> bytes:
        body = ErrorBody(
            type="upstream_error", code=event.code, message=event.message, param=None, request_id=self._request_id
        )
        return ErrorResponse(error=body).model_dump_json().encode()
