"""The events format: every event of the run by its name, with its number."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from app.adapters.llm.base import ReasoningDelta, TextDelta
from app.api.failures import error_of
from app.services.generation.events import RunEvent, RunFailed


class EventsEncoder:
    """Encodes everything that happens in a run."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._tail = b',"run_id":%b}\n\n' % orjson.dumps(run_id)

    def __call__(self, events: Sequence[RunEvent], first: int) -> bytes:
        """The bytes of a batch."""
        return b"".join([self._encode(event, number) for number, event in enumerate(events, first)])

    def _encode(self, event: RunEvent, number: int) -> bytes:
        if type(event) is TextDelta:
            return b'id: %d\nevent: text.delta\ndata: {"type":"text.delta","text":%b,"sequence_number":%d%b' % (
                number,
                orjson.dumps(event.text),
                number,
                self._tail,
            )
        name, fields = _fields(event)
        data = {"type": name, **fields, "sequence_number": number, "run_id": self._run_id}
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, name.encode(), orjson.dumps(data))


def _fields(event: RunEvent) -> tuple[str, dict[str, Any]]:
    if isinstance(event, TextDelta | ReasoningDelta):
        return "reasoning.delta", {"text": event.text}
    if isinstance(event, RunFailed):
        return event.name, {"error": {"type": error_of(event).type, "code": event.code, "message": event.message}}
    return event.name, asdict(event)
