"""Conducts one run: writes its events to the log as they come, and its rows at the beginning and the end."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog

from app.adapters.llm.base import TextDelta
from app.adapters.llm.errors import ModelError, ModelRateLimited, ModelUnavailable
from app.core import telemetry
from app.core.clock import utc_now
from app.core.database import Database, WriteSession
from app.core.errors import AppError, Conflict
from app.core.tenancy import TenantContext
from app.models.conversation import Conversation, Message, MessageStatus
from app.models.run import Run, RunStatus
from app.repositories.conversations import ConversationsRepository, MessagesRepository
from app.repositories.runs import RunsRepository
from app.services.generation.events import (
    CitationAdded,
    RunCancelled,
    RunCompleted,
    RunEnded,
    RunFailed,
    UsageReported,
    interrupted,
    pack,
)
from app.services.generation.loop import RunSpec, answer
from app.services.generation.supervisor import LiveRun
from app.services.usage import UsageService

log = structlog.get_logger()

_TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known of a run when it begins."""

    context: TenantContext
    run_id: str
    conversation_id: str
    is_new_conversation: bool
    agent_id: str | None
    question: str
    question_id: str
    answer_id: str
    model: str
    metadata: Mapping[str, Any]
    lease_until: datetime


class RunRecorder:
    """One run from its first event to its last. The rows are written beside the upstream call, not before it."""

    def __init__(self, database: Database, record: RunRecord) -> None:
        self._database = database
        self._record = record
        self._usage: UsageReported | None = None
        self._citations: list[CitationAdded] = []

    async def conduct(self, live: LiveRun, spec: RunSpec) -> None:
        """Answer, and end the log with exactly one event that says how it ended."""
        started = time.monotonic()
        telemetry.RUNS_STARTED.inc()
        opening = asyncio.create_task(self._open(live))
        ended = await self._listen(live, spec)
        ending = asyncio.create_task(self._end(live, opening, ended))
        while not ending.done():
            with suppress(asyncio.CancelledError):  # whoever stops the run stops the model, not the saving
                await asyncio.wait([ending])
        self._measure(ending.result(), time.monotonic() - started)

    def _measure(self, ended: RunEnded, seconds: float) -> None:
        code = ended.code if isinstance(ended, RunFailed) else ""
        telemetry.RUNS_ENDED.labels(ended.name.removeprefix("run."), code).inc()
        telemetry.RUN_SECONDS.observe(seconds)
        if self._usage is not None:
            provider = (self._usage.model or self._record.model).partition(":")[0]
            telemetry.TOKENS.labels(provider, "input").inc(self._usage.input_tokens)
            telemetry.TOKENS.labels(provider, "output").inc(self._usage.output_tokens)

    async def _listen(self, live: LiveRun, spec: RunSpec) -> RunEnded:
        append, waits_since = live.log.append, time.monotonic()
        try:
            async with aclosing(answer(spec)) as events:
                async for event in events:
                    append(event)
                    if waits_since and type(event) is TextDelta:
                        telemetry.FIRST_TEXT_SECONDS.observe(time.monotonic() - waits_since)
                        waits_since = 0.0
                    if isinstance(event, CitationAdded):
                        self._citations.append(event)
                    elif isinstance(event, UsageReported):
                        self._usage = event
            return RunCompleted(message_id=self._record.answer_id)
        except asyncio.CancelledError:
            return self._cancelled(live) if live.is_cancel_requested else interrupted()
        except (ModelError, AppError) as error:
            return _failure(error)
        except Exception as error:  # rule: allow broad-except because a defect must end the run, not hang its readers
            log.exception("run_crashed", run_id=self._record.run_id, error=type(error).__name__)
            return RunFailed(code="internal_error", message="Something went wrong on our side. Ask again.")

    def _cancelled(self, live: LiveRun) -> RunCancelled:
        has_answer = any(isinstance(event, TextDelta) for event in live.log.events)
        return RunCancelled(message_id=self._record.answer_id if has_answer else None)

    async def _end(self, live: LiveRun, opening: asyncio.Task[None], ended: RunEnded) -> RunEnded:
        try:
            await opening
            await self._save(live, ended)
        except Conflict:
            await self._save_usage_only()
            ended = RunFailed(
                code="conversation_deleted", message="The conversation was deleted meanwhile.", status=409
            )
        except AppError as error:
            log.warning("run_not_saved", run_id=self._record.run_id, code=error.code)
            ended = RunFailed(code=error.code, message=f"The answer could not be saved. {error.message}", status=503)
        except Exception as error:  # rule: allow broad-except because readers wait for the end, whatever broke
            log.exception("run_not_saved", run_id=self._record.run_id, error=type(error).__name__)
            ended = RunFailed(code="internal_error", message="The answer could not be saved. Ask again.")
        live.log.append(ended)
        return ended

    async def _open(self, live: LiveRun) -> None:
        """Write the rows that a run begins with; where that fails there is no use in asking the model."""
        try:
            await self._write_beginning()
        except Exception:
            if live.task is not None:
                live.task.cancel()
            raise
        live.set_recorded(is_recorded=True)

    async def _write_beginning(self) -> None:
        record = self._record
        async with self._database.write(record.context.tenant_id) as session:
            if record.is_new_conversation:
                ConversationsRepository(session, record.context).add(self._conversation())
                await session.flush()
            MessagesRepository(session, record.context).add(
                self._message(record.question_id, "user", record.question, [], MessageStatus.COMPLETED)
            )
            RunsRepository(session, record.context).add(
                Run(
                    tenant_id=record.context.tenant_id,
                    id=record.run_id,
                    conversation_id=record.conversation_id,
                    agent_id=record.agent_id,
                    model=record.model,
                    lease_until=record.lease_until,
                )
            )

    async def _save(self, live: LiveRun, ended: RunEnded) -> None:
        record = self._record
        text = "".join(event.text for event in live.log.events if isinstance(event, TextDelta))
        has_answer = bool(text) or isinstance(ended, RunCompleted)
        async with self._database.write(record.context.tenant_id) as session:
            if has_answer:
                status = MessageStatus.COMPLETED if isinstance(ended, RunCompleted) else MessageStatus.INCOMPLETE
                citations = [asdict(citation) for citation in self._citations]
                MessagesRepository(session, record.context).add(
                    self._message(record.answer_id, "assistant", text, citations, status)
                )
            self._record_usage(session)
            await RunsRepository(session, record.context).finish(
                record.run_id, **self._outcome(live, ended, has_answer=has_answer)
            )

    async def _save_usage_only(self) -> None:
        """The rows that the answer belongs to were deleted; what it cost is billed all the same."""
        log.info("run_without_conversation", run_id=self._record.run_id)
        async with self._database.write(self._record.context.tenant_id) as session:
            self._record_usage(session)

    def _record_usage(self, session: WriteSession) -> None:
        if self._usage is not None:
            UsageService(session, self._record.context).record(
                "chat",
                self._record.run_id,
                model=self._usage.model or self._record.model,
                input_tokens=self._usage.input_tokens,
                output_tokens=self._usage.output_tokens,
            )

    def _outcome(self, live: LiveRun, ended: RunEnded, *, has_answer: bool) -> dict[str, Any]:
        status = {RunCompleted: RunStatus.COMPLETED, RunCancelled: RunStatus.CANCELLED, RunFailed: RunStatus.FAILED}
        return {
            "status": status[type(ended)],
            "message_id": self._record.answer_id if has_answer else None,
            "error_code": ended.code if isinstance(ended, RunFailed) else None,
            "error_message": ended.message if isinstance(ended, RunFailed) else None,
            "input_tokens": self._usage.input_tokens if self._usage else 0,
            "output_tokens": self._usage.output_tokens if self._usage else 0,
            "events": pack([*live.log.events, ended]),
            "finished_at": utc_now(),
        }

    def _conversation(self) -> Conversation:
        return Conversation(
            tenant_id=self._record.context.tenant_id,
            id=self._record.conversation_id,
            agent_id=self._record.agent_id,
            title=" ".join(self._record.question.split())[:_TITLE_CHARACTERS],
            meta=dict(self._record.metadata),
        )

    def _message(
        self, message_id: str, role: str, content: str, citations: list[dict[str, Any]], status: MessageStatus
    ) -> Message:
        return Message(
            tenant_id=self._record.context.tenant_id,
            id=message_id,
            conversation_id=self._record.conversation_id,
            run_id=self._record.run_id,
            role=role,
            content=content,
            citations=citations,
            status=status,
        )


def _failure(error: ModelError | AppError) -> RunFailed:
    """How a failure looks to the caller: with the status that it would have had before the first byte."""
    if isinstance(error, AppError):
        return RunFailed(error.code, error.message, status=error.status, retry_after=error.retry_after)
    status = 503 if isinstance(error, ModelUnavailable | ModelRateLimited) else 502
    return RunFailed(error.code, error.message, status=status, retry_after=error.retry_after)
