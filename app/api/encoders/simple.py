"""The simple format: ``data: {"text": ...}`` for each piece of text, and ``data: [DONE]`` at the end."""

from collections.abc import Sequence

import orjson

from app.adapters.llm.base import TextDelta
from app.api.failures import error_of
from app.schemas.error import render_error
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
                parts.append(b'id: %d\ndata: {"text": %b}\n\n' % (number, dumps(event.text)))
            elif isinstance(event, RunFailed):
                parts.append(b'data: {"error": %b}\n\nid: %d\ndata: [DONE]\n\n' % (self._error(event), number))
            elif isinstance(event, RunCompleted | RunCancelled):
                parts.append(b"id: %d\ndata: [DONE]\n\n" % number)
        return b"".join(parts)

    def _error(self, event: RunFailed) -> bytes:
        return orjson.dumps(render_error(error_of(event), self._request_id).error.model_dump())
