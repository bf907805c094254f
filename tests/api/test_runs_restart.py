"""Runs and the end of their process: stopped in order they are drained, killed they are closed at the next start."""

import asyncio
import threading
import time
from pathlib import Path

import httpx
import pytest

from app.core.clock import utc_now
from app.core.tenancy import TenantContext
from app.models.run import Run
from app.repositories.runs import RunsRepository
from app.services.resources import open_database
from tests.fixtures.model import Model, model_service
from tests.fixtures.service import Service, TenantClient, running_service, test_settings
from tests.fixtures.sse import Answer, ask, of_type, read
from tests.upstream import HANG


def client_of(service: Service, tenant: TenantClient) -> httpx.Client:
    return service.client(tenant.key)


def follow_in_thread(model: Model, tenant: TenantClient, answers: list[Answer]) -> threading.Thread:
    """With a client that nobody closes when the service stops."""

    def follow() -> None:
        headers, base_url = {"Authorization": f"Bearer {tenant.key}"}, tenant.http.base_url
        with httpx.Client(base_url=base_url, headers=headers, trust_env=False, timeout=30) as http:
            answers.append(ask(http, "Hello?", stream_format="events"))

    thread = threading.Thread(target=follow)
    thread.start()
    return thread


@pytest.mark.parametrize("words", [20, 500])
def test_an_orderly_stop_ends_every_stream_in_time(data_dir: Path, words: int) -> None:
    answers = list[Answer]()
    with model_service(data_dir, drain_seconds=2.0, run_retention_seconds=0.0) as model:
        tenant = model.make_tenant()
        model.drips(words, 0.02)
        threads = [follow_in_thread(model, tenant, answers) for _ in range(10)]
        deadline = time.monotonic() + 10
        while len(model.asked) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        started = time.monotonic()
    for thread in threads:
        thread.join(10)
    assert len(answers) == 10
    assert time.monotonic() - started < 2 + 5
    with running_service(test_settings(data_dir)) as service:
        for answer in answers:
            events = answer.events
            text = "".join(event["text"] for event in of_type(events, "text.delta"))
            assert read(client_of(service, tenant), "GET", f"runs/{answer.run_id}/stream").raw == answer.raw
            messages = client_of(service, tenant).get(f"conversations/{answer.conversation_id}/messages").json()["data"]
            assert messages[0]["content"] == text
            if words == 20:
                assert (events[-1]["type"], text.split()[-1]) == ("run.completed", f"word{words - 1}")
            else:
                assert (events[-1]["type"], events[-1]["error"]["code"]) == ("run.failed", "interrupted")
                assert messages[0]["status"] == "incomplete"


def test_a_stop_takes_no_new_runs(data_dir: Path) -> None:
    with model_service(data_dir, drain_seconds=3.0) as model:
        tenant = model.make_tenant()
        model.drips(50, 0.02)
        answers = list[Answer]()
        thread = follow_in_thread(model, tenant, answers)
        while not model.service.application.supervisor.open_run_ids:
            time.sleep(0.01)
        model.service.application.supervisor.is_draining = True
        for path in ("chat", "chat/stream"):
            refused = tenant.http.post(path, json={"message": "Hello?"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "stopping")
            assert "Retry-After" in refused.headers
        thread.join(10)
        assert answers[0].events[-1]["type"] == "run.completed"


def test_a_run_whose_process_was_killed_ends_for_every_reader(data_dir: Path) -> None:
    """More runs than one sweep takes, left as a killed process leaves them: open, with no event saved."""
    with running_service(test_settings(data_dir)) as service:
        tenant = service.make_tenant()
        conversation_id = tenant.http.post("conversations", json={}).json()["id"]
    context = TenantContext.for_job(tenant.id, "test")

    async def leave_open() -> None:
        database = open_database(test_settings(data_dir))
        async with database.write(tenant.id) as session:
            for number in range(250):
                RunsRepository(session, context).add(
                    Run(
                        tenant_id=tenant.id,
                        id=f"run_{number:026d}",
                        conversation_id=conversation_id,
                        model="extractive",
                        lease_until=utc_now(),
                    )
                )
        await database.close()

    asyncio.run(leave_open())
    with running_service(test_settings(data_dir)) as service:
        http = client_of(service, tenant)
        for number in (0, 99, 100, 249):
            run_id = f"run_{number:026d}"
            run = http.get(f"runs/{run_id}").json()
            assert (run["status"], run["error"]["code"]) == ("failed", "interrupted")
            for after in (0, 1, 2, 499):
                started = time.monotonic()
                (event,) = read(http, "GET", f"runs/{run_id}/stream?starting_after={after}").events
                assert (event["type"], event["sequence_number"]) == ("run.failed", after + 1)
                assert event["error"]["code"] == "interrupted"
                assert time.monotonic() - started < 1
            simple = read(http, "GET", f"runs/{run_id}/stream?stream_format=simple&starting_after=7")
            assert [event.data[:8] for event in simple.sse] == ['{"error"', "[DONE]"]
            assert http.post(f"runs/{run_id}/cancel").status_code == 409
        assert {run["status"] for run in http.get("runs?limit=100").json()["data"]} == {"failed"}


def test_a_run_reads_the_same_after_a_restart(data_dir: Path) -> None:
    with model_service(data_dir, run_retention_seconds=0.0) as model:
        tenant = model.make_tenant()
        model.says(*[f"{number} " for number in range(500)])
        answer = ask(tenant.http, "Count.", stream_format="events")
        model.drips(2, 0.0, HANG)
        hung = ask(tenant.http, "Hang.", stream_format="events")
        assert hung.events[-1]["error"]["code"] == "upstream_cut_off"
        assert read(tenant.http, "GET", f"runs/{answer.run_id}/stream").raw == answer.raw
    with running_service(test_settings(data_dir)) as service:
        http = client_of(service, tenant)
        assert read(http, "GET", f"runs/{hung.run_id}/stream").raw == hung.raw
        blocks = answer.raw.split(b"\n\n")[:-1]
        for after in range(0, len(blocks), 25):
            rest = b"".join(block + b"\n\n" for block in blocks[after:])
            assert read(http, "GET", f"runs/{answer.run_id}/stream?starting_after={after}").raw == rest
