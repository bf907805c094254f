"""Wrappers that try again: the same model while nothing was said yet, then the next model."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from app.adapters.llm.base import ChatModel, ChatRequest, ModelEvent, ReasoningDelta, TextDelta
from app.adapters.llm.errors import ModelCutOff, ModelError, ModelRejected

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long, in seconds.

    The wait is drawn from 0 to ``base_delay * 2**attempt`` (at most ``max_delay``): "full jitter", Marc Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. A ``retry_after`` is waited out besides; one above
    ``max_retry_after`` is not worth a caller's time, so the next model is tried at once.
    """

    max_retries: int = 2
    base_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 20.0


class RetryBudget:
    """Keeps retries to a share of all calls, so that an outage is not answered with three times the load.

    Every call earns ``share`` of a retry, up to ``reserve`` of them; a retry costs one (the token bucket of gRPC's
    retry throttling, proposal A6).
    """

    def __init__(self, share: float = 0.1, reserve: float = 20.0) -> None:
        self._share = share
        self._reserve = reserve
        self._saved = reserve

    def earn(self) -> None:
        """Count one first attempt."""
        self._saved = min(self._reserve, self._saved + self._share)

    def spend(self) -> bool:
        """Whether one more retry is affordable; if so it is paid."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class RetryingModel:
    """The inner model, asked again after a retryable failure as long as nothing visible was said."""

    def __init__(
        self,
        inner: ChatModel,
        policy: RetryPolicy | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.provider = inner.provider
        self._inner = inner
        self._policy = policy or RetryPolicy()
        self._budget = RetryBudget()
        self._sleep = sleep
        self._uniform = uniform

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ModelEvent, None]:
        """The inner stream; usage that a failed attempt had announced may come again."""
        self._budget.earn()
        attempt = 0
        while True:
            has_spoken = False
            try:
                async with aclosing(self._inner.stream(request)) as events:
                    async for event in events:
                        has_spoken = has_spoken or isinstance(event, (TextDelta, ReasoningDelta))
                        yield event
            except ModelError as error:
                if has_spoken or not self._may_retry(attempt, error):
                    raise
                delay = self._delay(attempt, error)
                _log.warning("model_retried", provider=self.provider, code=error.code, status=error.status, delay=delay)
            else:
                return
            await self._sleep(delay)
            attempt += 1

    async def close(self) -> None:
        """Close the inner model."""
        await self._inner.close()

    def _may_retry(self, attempt: int, error: ModelError) -> bool:
        is_worth_waiting = (error.retry_after or 0) <= self._policy.max_retry_after
        return error.is_retryable and is_worth_waiting and attempt < self._policy.max_retries and self._budget.spend()

    def _delay(self, attempt: int, error: ModelError) -> float:
        jitter = self._uniform(0, min(self._policy.max_delay, self._policy.base_delay * 2**attempt))
        return (error.retry_after or 0) + jitter


class FallbackModel:
    """Models in order of preference, for one answer: the next is asked where one fails before it said anything.

    A request that was rejected as such is not shown to another model, and a cut is not repaired by another voice.
    Where all fail, the error of the first is raised: it is the model that was asked for. ``answered_by`` names the
    model whose events came (for accounting).
    """

    def __init__(self, choices: Sequence[tuple[ChatModel, str]]) -> None:
        if not choices:
            raise ValueError("at least one model is needed")
        self._choices = tuple(choices)
        self.provider = choices[0][0].provider
        self.answered_by: tuple[str, str] | None = None

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ModelEvent, None]:
        """The stream of the first model that speaks; ``request.model`` is replaced by each one's own name."""
        first_error: ModelError | None = None
        for model, name in self._choices:
            has_spoken = False
            try:
                async with aclosing(model.stream(replace(request, model=name))) as events:
                    async for event in events:
                        if not has_spoken:
                            has_spoken = isinstance(event, (TextDelta, ReasoningDelta))
                            self.answered_by = (model.provider, name)
                        yield event
            except (ModelRejected, ModelCutOff):
                raise
            except ModelError as error:
                if has_spoken:
                    raise
                first_error = first_error or error
                _log.warning("model_failed", provider=model.provider, model=name, code=error.code, status=error.status)
            else:
                return
        self.answered_by = None
        assert first_error is not None
        raise first_error

    async def close(self) -> None:
        """Close every model."""
        for model, _ in self._choices:
            await model.close()
