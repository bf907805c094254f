"""The recorder: whoever stops a run, and however often, what was said is saved and the log has one end."""

import asyncio
from typing import Any

import pytest

from app.adapters.llm.base import ChatMessage, TextDelta
from app.adapters.llm.scripted import ScriptedModel
from app.core.clock import utc_now
from app.core.database import Database
from app.core.errors import Conflict, Overloaded
from app.core.tenancy import TenantContext
from app.models.guard import GuardedSession
from app.services.generation.events import RunCancelled, RunEnded, RunFailed
from app.services.generation.loop import RunSpec
from app.services.generation.supervisor import LiveRun
from app.services.run_recorder import RunRecord, RunRecorder

RECORD = RunRecord(
    context=TenantContext.for_job("tnt_1", "run_1"),
    run_id="run_1",
    conversation_id="conv_1",
    is_new_conversation=True,
    agent_id=None,
    question="Is it?",
    question_id="msg_1",
    answer_id="msg_2",
    model="scripted:x",
    metadata={},
    lease_until=utc_now(),
)
SPEC = RunSpec(ScriptedModel([TextDelta("Yes"), 60.0]), "scripted:x", [ChatMessage("user", "Is it?")])


class SlowRecorder(RunRecorder):
    """Takes a moment to save, and fails at what it is told to."""

    def __init__(self, *, opening: Exception | None = None, saving: Exception | None = None) -> None:
        super().__init__(Database("sqlite+aiosqlite:///never/opened.db", session_class=GuardedSession), RECORD)
        self.opening, self.saving = opening, saving
        self.saved: list[RunEnded] = []
        self.is_billed = False

    async def _write_beginning(self) -> None:
        if self.opening:
            raise self.opening

    async def _save(self, live: LiveRun, ended: RunEnded) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        if self.saving:
            raise self.saving
        self.saved.append(ended)

    async def _save_usage_only(self) -> None:
        self.is_billed = True


async def begun(recorder: RunRecorder) -> LiveRun:
    live = LiveRun("tnt_1", "run_1")
    live.task = asyncio.create_task(recorder.conduct(live, SPEC))
    for _ in range(5):
        await asyncio.sleep(0)
    return live


def ends_of(live: LiveRun) -> list[Any]:
    return [event for event in live.log.events if isinstance(event, RunEnded)]


async def test_stopping_it_again_and_again_does_not_stop_the_saving() -> None:
    recorder = SlowRecorder()
    live = await begun(recorder)
    live.cancel()
    assert live.task is not None
    for _ in range(5):
        await asyncio.sleep(0)
        live.task.cancel()
    await asyncio.wait([live.task])
    assert ends_of(live) == recorder.saved == [RunCancelled("msg_2")]


@pytest.mark.parametrize(
    ("error", "code"),
    [(Overloaded("full", code="database_unavailable"), "database_unavailable"), (ValueError(), "internal_error")],
)
async def test_what_cannot_be_saved_is_told(error: Exception, code: str) -> None:
    live = await begun(SlowRecorder(saving=error))
    live.cancel()
    assert live.task is not None
    await asyncio.wait([live.task])
    (ended,) = ends_of(live)
    assert isinstance(ended, RunFailed)
    assert ended.code == code


async def test_a_run_that_cannot_begin_does_not_ask_the_model_for_long() -> None:
    live = await begun(SlowRecorder(opening=Overloaded("full", code="database_unavailable")))
    assert live.task is not None
    await asyncio.wait_for(asyncio.wait([live.task]), 5)
    (ended,) = ends_of(live)
    assert (type(ended), ended.code) == (RunFailed, "database_unavailable")
    assert not live.is_recorded


async def test_a_run_whose_conversation_was_deleted_is_billed_all_the_same() -> None:
    recorder = SlowRecorder(saving=Conflict("gone"))
    live = await begun(recorder)
    live.cancel()
    assert live.task is not None
    await asyncio.wait([live.task])
    (ended,) = ends_of(live)
    assert (ended.code, recorder.is_billed) == ("conversation_deleted", True)
