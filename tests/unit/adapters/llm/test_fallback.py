from collections.abc import Sequence

import pytest

from app.adapters.llm.base import ChatMessage, ChatRequest, Finished, ModelEvent, ReasoningDelta, TextDelta, Usage
from app.adapters.llm.errors import (
    ModelBadCredentials,
    ModelCutOff,
    ModelError,
    ModelRateLimited,
    ModelRejected,
    ModelUnavailable,
)
from app.adapters.llm.fallback import FallbackModel, RetryBudget, RetryingModel, RetryPolicy
from app.adapters.llm.scripted import ScriptedModel, Step

REQUEST = ChatRequest("first", [ChatMessage("user", "hello")])
WELL: list[Step] = [TextDelta("hi"), Finished("stop")]


class Clock:
    """Sleeps without sleeping, and remembers."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Takes:
    """A model with another script for each attempt."""

    provider = "takes"

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self.models = [ScriptedModel(script) for script in scripts]
        self.attempts = 0

    def stream(self, request: ChatRequest):  # type: ignore[no-untyped-def]  # noqa: ANN201
        self.attempts += 1
        return self.models[self.attempts - 1].stream(request)

    async def close(self) -> None: ...


def retrying(inner: Takes, clock: Clock, policy: RetryPolicy | None = None) -> RetryingModel:
    return RetryingModel(inner, policy, sleep=clock.sleep, uniform=lambda _, high: high)


async def collect(model: RetryingModel | FallbackModel) -> list[ModelEvent]:
    return [event async for event in model.stream(REQUEST)]


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_a_retryable_failure_is_asked_again_with_growing_delays() -> None:
    clock, inner = Clock(), Takes([ModelUnavailable("x")], [Usage(1, 0), ModelRateLimited("y")], WELL)
    assert text_of(await collect(retrying(inner, clock))) == "hi"
    assert (inner.attempts, clock.slept) == (3, [0.5, 1.0])


async def test_after_two_retries_the_error_is_raised_as_it_is() -> None:
    clock, last = Clock(), ModelUnavailable("third")
    inner = Takes([ModelUnavailable("first")], [ModelUnavailable("second")], [last], WELL)
    with pytest.raises(ModelUnavailable) as caught:
        await collect(retrying(inner, clock))
    assert caught.value is last
    assert inner.attempts == 3


@pytest.mark.parametrize("error", [ModelRejected("x"), ModelBadCredentials("x"), ModelCutOff("x")])
async def test_what_another_try_cannot_help_is_not_tried_again(error: ModelError) -> None:
    clock, inner = Clock(), Takes([error], WELL)
    with pytest.raises(type(error)):
        await collect(retrying(inner, clock))
    assert (inner.attempts, clock.slept) == (1, [])


@pytest.mark.parametrize("visible", [TextDelta("Hel"), ReasoningDelta("Hm")])
@pytest.mark.parametrize("error", [ModelUnavailable("x"), ModelRateLimited("x"), ModelCutOff("x")])
async def test_nothing_is_retried_or_replaced_after_a_visible_event(visible: ModelEvent, error: ModelError) -> None:
    clock, inner, other = Clock(), Takes([visible, error], WELL), ScriptedModel(WELL)
    with pytest.raises(ModelError) as caught:
        await collect(FallbackModel([(retrying(inner, clock), "first"), (other, "second")]))
    assert caught.value is error
    assert (inner.attempts, clock.slept, len(other.requests)) == (1, [], 0)


async def test_retry_after_is_waited_out_up_to_a_cap() -> None:
    clock, inner = Clock(), Takes([ModelRateLimited("x", retry_after=3)], WELL)
    await collect(retrying(inner, clock))
    assert clock.slept == [3.5]
    too_long = Takes([ModelRateLimited("x", retry_after=21)], WELL)
    with pytest.raises(ModelRateLimited):
        await collect(retrying(too_long, clock))
    assert too_long.attempts == 1


async def test_an_outage_is_not_answered_with_many_times_the_load() -> None:
    inner = Takes(*[[ModelUnavailable("down")]] * 2000)
    model = retrying(inner, Clock())
    for _ in range(500):
        with pytest.raises(ModelUnavailable):
            await collect(model)
    assert inner.attempts <= 500 + 20 + 0.1 * 500


def test_a_budget_earns_back_what_it_spent() -> None:
    budget = RetryBudget(share=0.5, reserve=1)
    assert budget.spend()
    assert not budget.spend()
    budget.earn()
    budget.earn()
    assert budget.spend()


@pytest.mark.parametrize("error", [ModelUnavailable("x"), ModelRateLimited("x"), ModelBadCredentials("x")])
async def test_the_next_model_answers_under_its_own_name(error: ModelError) -> None:
    first, second = ScriptedModel([Usage(1, 0), error]), ScriptedModel(WELL)
    model = FallbackModel([(first, "first"), (second, "second")])
    assert text_of(await collect(model)) == "hi"
    assert [request.model for request in (*first.requests, *second.requests)] == ["first", "second"]
    assert model.answered_by == ("scripted", "second")


async def test_a_rejected_request_is_shown_to_no_other_model() -> None:
    second = ScriptedModel(WELL)
    with pytest.raises(ModelRejected):
        await collect(FallbackModel([(ScriptedModel([ModelRejected("x")]), "a"), (second, "b")]))
    assert not second.requests


async def test_where_all_fail_the_error_is_that_of_the_model_asked_for() -> None:
    first = ModelRateLimited("first")
    model = FallbackModel([(ScriptedModel([first]), "a"), (ScriptedModel([ModelBadCredentials("second")]), "b")])
    with pytest.raises(ModelRateLimited) as caught:
        await collect(model)
    assert caught.value is first
    assert model.answered_by is None
