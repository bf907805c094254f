"""A service with a scripted upstream, shared by the tests of a process."""

import time
from collections.abc import Iterator

import pytest

from app.adapters.llm import fallback
from app.adapters.llm.http import Deadlines
from tests.fixtures.model import Model, model_service


@pytest.fixture(scope="session")
def shared_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with model_service(tmp_path_factory.mktemp("model")) as model:
        yield model


@pytest.fixture
def model(shared_model: Model) -> Model:
    """The shared service with a model; it has nothing to say until the test says what."""
    shared_model.upstream.client_gone.clear()
    shared_model.plays([])
    return shared_model


@pytest.fixture
def quick_pings(model: Model) -> Iterator[None]:
    """Signs of life after a fifth of a second; looked after once a second."""
    pacemaker = model.service.app.state.pacemaker
    seconds, pacemaker.ping_seconds = pacemaker.ping_seconds, 0.2
    yield
    pacemaker.ping_seconds = seconds


@pytest.fixture
def patience(model: Model) -> Iterator[None]:
    """Wait long for the model, until it hangs up at the end of the test."""
    http = model.service.application.resources.models._providers["anthropic"]._inner._http  # type: ignore[attr-defined]
    deadlines, http.deadlines = http.deadlines, Deadlines()
    yield
    http.deadlines = deadlines
    model.hangs_up()
    deadline = time.monotonic() + 20
    while model.service.application.supervisor.open_run_ids:
        assert time.monotonic() < deadline, "runs do not end"
        time.sleep(0.01)


@pytest.fixture
def quick_retries(model: Model) -> None:
    """No pause between tries, and a full budget of them."""
    for provider in model.service.application.resources.models._providers.values():
        if isinstance(provider, fallback.RetryingModel):
            provider._policy = fallback.RetryPolicy(base_delay=0.001)
            provider._budget = fallback.RetryBudget()
