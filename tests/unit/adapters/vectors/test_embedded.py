"""One owner, nothing acknowledged lost, no half of a store ever opened, and the last look at the tenant."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import structlog
from qdrant_edge import CountRequest, EdgeShard, Filter, UpdateOperation

from app.adapters.vectors import embedded, engine, layout
from app.adapters.vectors.base import VectorPoint, VectorQuery
from app.adapters.vectors.embedded import EmbeddedVectorStore
from app.adapters.vectors.errors import VectorStoreFailed, VectorStoreInUse
from app.core.tenancy import TenantContext

TENANT = TenantContext.for_job("a", "test")
WRITER = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
import numpy as np
from app.adapters.vectors.base import VectorPoint
from app.adapters.vectors.embedded import EmbeddedVectorStore
from app.core.tenancy import TenantContext

async def main():
    store = await EmbeddedVectorStore.open(Path(sys.argv[1]), embedder_name="m", dimension=2)
    vectors = store.for_tenant(TenantContext.for_job("a", "test"))
    for n in range(10**6):
        await vectors.upsert([VectorPoint(UUID(int=n), "d", "kb", 1, f"word{n}", np.array([1, 0], dtype=np.float32))])
        print(n, flush=True)

asyncio.run(main())
"""
CREATOR = """
import sys, time
from pathlib import Path
from app.adapters.vectors import engine
real = engine.UpdateOperation.create_field_index
class Slow:
    @staticmethod
    def create_field_index(*arguments):
        print("creating", flush=True)
        time.sleep(60)
engine.UpdateOperation = Slow
engine.open_shard(Path(sys.argv[1]), "shard", 2)
"""


async def open_store(directory: Path, dimension: int = 2) -> EmbeddedVectorStore:
    return await EmbeddedVectorStore.open(directory, embedder_name="m", dimension=dimension)


def points(count: int) -> list[VectorPoint]:
    vector = np.array([0.6, 0.8], dtype=np.float32)
    return [VectorPoint(UUID(int=n), "d", "kb", 1, f"apples {n}", vector) for n in range(count)]


def start(program: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, str(directory)], stdout=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen[str]) -> list[str]:
    os.kill(process.pid, signal.SIGKILL)
    assert process.stdout is not None
    with process.stdout:
        lines = process.stdout.read().splitlines()
    process.wait()
    return lines


def wait_for_line(process: subprocess.Popen[str], is_enough: Callable[[str], bool]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if is_enough(line.strip()):
            return
    pytest.fail("the process ended early")


async def test_another_process_is_refused_and_a_kill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    process = start(WRITER, tmp_path)
    wait_for_line(process, lambda line: line == "150")
    with pytest.raises(VectorStoreInUse, match="another process"):
        await open_store(tmp_path)
    acknowledged = int((kill(process) or ["150"])[-1]) + 1
    store = await open_store(tmp_path)
    vectors = store.for_tenant(TENANT)
    assert await vectors.count("d", 1) in (acknowledged, acknowledged + 1)
    last = f"word{acknowledged - 1}"
    assert [hit.id for hit in await vectors.search(VectorQuery(last, None, mode="sparse"))] == [
        UUID(int=acknowledged - 1)
    ]
    await store.close()


def test_a_creation_that_was_killed_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    process = start(CREATOR, tmp_path)
    wait_for_line(process, lambda line: line == "creating")
    kill(process)
    assert [path.name.startswith(".shard.") for path in tmp_path.iterdir()] == [True]
    shard = engine.open_shard(tmp_path, "shard", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["shard"]
    assert set(shard.info().payload_schema) == {"tenant_id", "document_id", "knowledge_base_id", "generation"}
    shard.close()


async def test_what_was_closed_is_there_when_opened_again(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.for_tenant(TENANT).upsert(points(120))
    assert await store.is_healthy()
    await store.close()
    assert not await store.is_healthy()
    store = await open_store(tmp_path)
    assert await store.for_tenant(TENANT).count("d", 1) == 120
    await store.close()


async def test_a_store_of_another_dimension_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    await (await open_store(tmp_path)).close()
    with pytest.raises(VectorStoreFailed, match="expected vector size"):
        await open_store(tmp_path, dimension=3)
    (tmp_path / layout.collection_name("m") / "edge_config.json").write_text("{")
    with pytest.raises(VectorStoreFailed, match="cannot be opened"):
        await open_store(tmp_path)


async def test_what_the_engine_refuses_is_a_typed_failure(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    wrong = VectorPoint(UUID(int=1), "d", "kb", 1, "text", np.ones(5, dtype=np.float32))
    with pytest.raises(VectorStoreFailed):
        await store.for_tenant(TENANT).upsert([wrong])
    await store.close()


async def test_upkeep_waits_until_nobody_needs_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await open_store(tmp_path)
    assert not await store.maintain()
    await store.for_tenant(TENANT).upsert(points(120))
    assert not await store.maintain()
    monkeypatch.setattr(embedded, "_IDLE_BEFORE_FLUSH", 0.0)
    assert await store.maintain()
    assert not await store.maintain()
    monkeypatch.setattr(embedded, "_IDLE_BEFORE_OPTIMISING", 0.0)
    monkeypatch.setattr(embedded, "_CHANGES_WORTH_OPTIMISING", 120)
    assert await store.maintain()
    assert not await store.maintain()
    assert await store.for_tenant(TENANT).count("d", 1) == 120
    await store.close()


async def test_a_health_check_is_no_use_and_a_store_never_idle_is_flushed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(tmp_path)
    await store.for_tenant(TENANT).upsert(points(1))
    before = store._engine._last_used
    assert await store.is_healthy()
    assert store._engine._last_used == before
    monkeypatch.setattr(embedded, "_UNFLUSHED_AT_MOST", 2)
    assert not await store.maintain()
    await store.for_tenant(TENANT).upsert(points(1))
    assert await store.maintain()
    await store.close()


async def test_a_foreign_point_is_dropped_and_reported_though_the_filter_let_it_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(tmp_path)
    await store.for_tenant(TenantContext.for_job("b", "test")).upsert(points(1))
    everything: Any = lambda *_arguments: Filter()  # noqa: E731 the wall that is switched off
    monkeypatch.setattr("app.adapters.vectors.filters.of_query", everything)
    monkeypatch.setattr("app.adapters.vectors.filters.of_tenant", everything)
    with structlog.testing.capture_logs() as logs:
        for mode in ("hybrid", "dense", "sparse"):
            query = VectorQuery("apples", np.array([1, 0], dtype=np.float32), mode=mode)
            assert await store.for_tenant(TENANT).search(query) == []
    assert {entry["event"] for entry in logs} == {"vector_of_other_tenant_found"}
    assert {entry["log_level"] for entry in logs} == {"critical"}
    await store.close()


async def test_large_writes_and_deletions_are_cut_into_small_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    upsert, delete = UpdateOperation.upsert_points, UpdateOperation.delete_points

    class Recorded:
        @staticmethod
        def upsert_points(given: list[Any]) -> UpdateOperation:
            sizes.append(len(given))
            return upsert(given)

        @staticmethod
        def delete_points(given: list[Any]) -> UpdateOperation:
            sizes.append(len(given))
            return delete(given)

    store = await open_store(tmp_path)
    monkeypatch.setattr(embedded, "UpdateOperation", Recorded)
    await store.for_tenant(TENANT).upsert(points(520))
    await store.for_tenant(TENANT).delete_all()
    assert sizes == [50] * 10 + [20] + [250, 250, 20]
    await store.close()
    shard = EdgeShard.load(str(tmp_path / layout.collection_name("m")))
    assert shard.count(CountRequest()) == 0
    shard.close()
