"""Events keep their order, borders and numbers through the database."""

import json

from hypothesis import given
from hypothesis import strategies as st

from app.adapters.llm.base import ReasoningDelta, TextDelta
from app.services.generation.events import (
    CitationAdded,
    RetrievalCompleted,
    RunCancelled,
    RunCompleted,
    RunCreated,
    RunEvent,
    RunFailed,
    UsageReported,
    pack,
    unpack,
)

OTHERS = [
    RunCreated("conv_1", None),
    RetrievalCompleted(3),
    CitationAdded(1, "doc_1", "chk_1", "T", None, 0, 3, "abc"),
    UsageReported(1, 2, model="m"),
    RunCompleted("msg_1"),
    RunCancelled(None),
    RunFailed("code", "message", status=503, retry_after=1.5),
]
EVENTS = st.one_of(st.text().map(TextDelta), st.text(max_size=3).map(ReasoningDelta), st.sampled_from(OTHERS))


def plain(event: RunEvent) -> object:
    return (type(event), event.text) if isinstance(event, TextDelta | ReasoningDelta) else event


@given(st.lists(EVENTS))
def test_what_is_unpacked_is_what_was_packed(events: list[RunEvent]) -> None:
    stored = json.loads(json.dumps(pack(events)))
    assert [plain(event) for event in unpack(stored)] == [plain(event) for event in events]


def test_a_thousand_tokens_are_one_entry() -> None:
    assert pack([TextDelta("a")] * 1000) == [{"type": "text.delta", "texts": ["a"] * 1000}]


def test_events_saved_before_usage_named_its_model_can_be_read() -> None:
    assert unpack([{"type": "usage", "input_tokens": 1, "output_tokens": 2}]) == [UsageReported(1, 2)]
