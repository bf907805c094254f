"""A file that kills, starves or stalls its parser ends as failed after a few attempts, and harms nobody else."""

from collections.abc import Iterator
from functools import partial

import pytest

from app.adapters.parsing.sandbox import SandboxedParser
from tests.fixtures.service import Service, TenantClient, running_service, test_settings


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    parsers = {"text/plain": "tests.workers.poison"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.services.resources.build_parser", partial(SandboxedParser, parsers=parsers))
        settings = test_settings(
            tmp_path_factory.mktemp("poison"),
            parse_seconds=2,
            parse_memory_bytes=2**28,
            job_retry_delay_seconds=0.05,
            jobs_per_tenant=1,
        )
        with running_service(settings) as running:
            yield running


@pytest.mark.parametrize(
    ("word", "code", "attempts"),
    [("die", "parser_crashed", 4), ("eat", "parser_out_of_memory", 1), ("sleep", "parser_timeout", 1)],
)
def test_poison_ends_failed_and_others_are_served(poisoned: Service, word: str, code: str, attempts: int) -> None:
    victim, other = poisoned.make_tenant(), poisoned.make_tenant()
    poison = victim.upload("poison.txt", word.encode())["id"]
    assert other.ready("harmless.txt", b"A lamp.")["status"] == "ready"
    document = victim.wait(poison)
    assert (document["status"], document["last_error"]["code"]) == ("failed", code)
    assert document["attempts"] == attempts
    assert victim.http.get(f"{poisoned.base_url}/health").status_code == 200
    failed = victim.http.get("documents/failed").json()["data"]
    assert [entry["id"] for entry in failed] == [poison]
    assert other.http.get("documents/failed").json()["data"] == []
    check_replay(victim, poison, code)


def check_replay(victim: TenantClient, poison: str, code: str) -> None:
    assert victim.http.post("documents/failed/replay").json()["replayed"] == 1
    document = victim.wait(poison)
    assert (document["status"], document["last_error"]["code"]) == ("failed", code)
