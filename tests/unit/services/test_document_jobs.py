"""Work on documents: the whole of a version or nothing of it, whoever else is at the document meanwhile."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.adapters.embeddings.errors import EmbeddingFailed
from app.adapters.embeddings.hashed import HashedEmbedder
from app.adapters.parsing.base import ParseFailure
from app.adapters.vectors.base import VectorPoint
from app.adapters.vectors.errors import VectorStoreFailed
from app.adapters.vectors.memory import InMemoryTenantVectors
from app.core.tenancy import TenantContext
from app.models.document import Document
from app.schemas.knowledge import KnowledgeBaseCreate
from app.services.document_jobs import original_of
from app.services.document_sink import DocumentSink
from app.services.intake import sweep_unrecorded
from app.services.knowledge import KnowledgeService, passages_reader
from app.services.retrieval.search import Retriever, SearchQuery
from tests.fixtures.world import Clock, World, open_world

Step = Callable[[], Awaitable[None]]


@pytest.fixture
async def tenant(world: World) -> TenantContext:
    return await world.make_tenant("tenant")


async def get(world: World, context: TenantContext, document_id: str) -> Document:
    async with world.documents(context) as (documents, _):
        return await documents.get(document_id)


def assert_clean(world: World) -> None:
    """Rows, vectors and files say the same, and nothing is left to do."""
    documents = {row["id"]: row for row in world.rows("SELECT * FROM documents")}
    chunks = world.rows("SELECT * FROM chunks")
    for document in documents.values():
        assert document["status"] in {"ready", "failed"}, document["status"]
        own = [row for row in chunks if row["document_id"] == document["id"]]
        assert sorted(row["ordinal"] for row in own) == list(range(document["chunk_count"]))
        assert {row["generation"] for row in own} <= {document["generation"]}
    assert {row["document_id"] for row in chunks} <= documents.keys()
    points = sorted((point.document_id, point.generation, str(point.id)) for point in world.points())
    assert len(points) == len(chunks)
    assert [point[:2] for point in points] == sorted((row["document_id"], row["generation"]) for row in chunks)
    root = world.stores.files._root  # type: ignore[attr-defined]
    assert {path.name for path in root.glob("*/*")} == documents.keys()
    assert not world.rows("SELECT * FROM jobs WHERE state NOT IN ('succeeded', 'failed')")
    usage = [row["subject_id"] for row in world.rows("SELECT * FROM usage_events")]
    assert len(usage) == len(set(usage))
    for document in documents.values():
        assert sum(subject.startswith(document["id"]) for subject in usage) == document["generation"]


async def test_a_document_becomes_ready_once(world: World, tenant: TenantContext) -> None:
    document_id = await world.add(tenant)
    await world.run_all()
    document = await get(world, tenant, document_id)
    assert (document.status, document.generation, document.attempts) == ("ready", 1, 1)
    assert document.chunk_count == len(world.points()) > 32, "several batches"
    assert_clean(world)


async def test_a_file_that_is_gone_fails_and_says_so(world: World, tenant: TenantContext) -> None:
    document_id = await world.add(tenant)
    await world.stores.files.for_tenant(tenant).delete(document_id)
    await world.run_all()
    document = await get(world, tenant, document_id)
    assert (document.status, document.error_code, document.attempts) == ("failed", "file_missing", 1)


async def test_a_file_that_the_disk_has_changed_fails_as_corrupt(world: World, tenant: TenantContext) -> None:
    document_id = await world.add(tenant, b"content" * 1000)
    async with world.stores.files.for_tenant(tenant).local_copy(original_of(document_id)) as path:
        content = bytearray(path.read_bytes())
        content[2000] ^= 1
        path.write_bytes(content)
    await world.run_all()
    document = await get(world, tenant, document_id)
    assert (document.status, document.error_code, document.attempts) == ("failed", "corrupt", 1)


async def test_a_missing_program_is_no_missing_file(world: World, tenant: TenantContext) -> None:
    async def fail() -> None:
        raise FileNotFoundError("/usr/bin/python3")

    world.parser.before = fail
    document_id = await world.add(tenant)
    await world.run_all()
    assert (await get(world, tenant, document_id)).error_code == "internal_error"


@pytest.mark.parametrize(
    ("error", "code", "attempts"),
    [
        (ParseFailure("pdf_encrypted", "Locked."), "pdf_encrypted", 1),
        (ParseFailure("parser_timeout", "Slow."), "parser_timeout", 1),
        (ParseFailure("parser_out_of_memory", "Big."), "parser_out_of_memory", 1),
        (ParseFailure("parser_crashed", "Crashed."), "parser_crashed", 4),
        (EmbeddingFailed("Down.", is_retryable=True), "embedding_failed", 4),
        (EmbeddingFailed("Wrong key.", is_retryable=False), "embedding_failed", 1),
        (VectorStoreFailed("Down."), "internal_error", 4),
    ],
)
async def test_failures_end_after_as_many_attempts_as_make_sense(
    world: World, tenant: TenantContext, error: Exception, code: str, attempts: int
) -> None:
    async def fail() -> None:
        raise error

    world.parser.before = fail
    document_id = await world.add(tenant)
    for _ in range(attempts + 2):
        await world.run_all()
        world.clock.pass_by(minutes=5)
    document = await get(world, tenant, document_id)
    assert (document.status, document.stage, document.error_code) == ("failed", "failed", code)
    assert document.attempts == attempts
    world.parser.before = world.parser.__class__().before
    async with world.documents(tenant) as (documents, session):
        assert await documents.replay_failed(session) == 1
    await world.run_all()
    assert (await get(world, tenant, document_id)).status == "ready"
    assert_clean(world)


async def test_a_failed_new_version_leaves_the_old_one_and_nothing_of_its_own(
    world: World, tenant: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = await world.add(tenant)
    await world.run_all()
    before = world.rows("SELECT * FROM chunks ORDER BY id")
    await world.reprocess(tenant, document_id)

    async def fail_late(*_: object, **__: object) -> None:
        raise ParseFailure("made_up", "After everything was stored.")

    with monkeypatch.context() as broken:
        broken.setattr(DocumentSink, "finish", fail_late)
        await world.run_all()
    document = await get(world, tenant, document_id)
    assert (document.status, document.generation) == ("failed", 1)
    assert [tuple(row) for row in world.rows("SELECT * FROM chunks ORDER BY id")] == [tuple(row) for row in before]
    assert_clean(world)


async def test_vectors_that_the_store_lost_are_noticed_before_anything_is_visible(
    world: World, tenant: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert = InMemoryTenantVectors.upsert
    lost: list[VectorPoint] = []

    async def lose_one(vectors: InMemoryTenantVectors, points: list[VectorPoint]) -> None:
        if not lost:
            lost.append(points.pop())
        await upsert(vectors, points)

    monkeypatch.setattr(InMemoryTenantVectors, "upsert", lose_one)
    document_id = await world.add(tenant)
    await world.run_all()
    document = await get(world, tenant, document_id)
    assert (document.status, document.generation, document.error_code) == ("processing", 0, "vectors_incomplete")
    world.clock.pass_by(minutes=1)
    await world.run_all()
    assert (await get(world, tenant, document_id)).status == "ready"
    assert_clean(world)


async def test_a_purge_is_tried_until_everything_is_gone(
    world: World, tenant: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = await world.add(tenant)
    await world.run_all()
    await world.delete(tenant, document_id)

    async def fail(*_: object, **__: object) -> None:
        raise VectorStoreFailed("down")

    with monkeypatch.context() as broken:
        broken.setattr(InMemoryTenantVectors, "delete_document", fail)
        for _ in range(8):
            await world.run_all()
            world.clock.pass_by(hours=2)
    assert world.points()
    assert world.rows("SELECT status FROM documents")[0]["status"] == "deleting"
    await world.run_all()
    assert not world.points()
    assert_clean(world)


async def test_files_that_cannot_be_removed_are_not_forgotten(
    world: World, tenant: TenantContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = await world.add(tenant)
    await world.run_all()
    await world.delete(tenant, document_id)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only file system")

    with monkeypatch.context() as broken:
        broken.setattr(os, "unlink", refuse)
        await world.run_all()
    assert world.rows("SELECT * FROM documents")
    world.clock.pass_by(minutes=5)
    await world.run_all()
    assert_clean(world)
    assert not world.rows("SELECT * FROM documents")


class Interleaved:
    """Does something in the middle of a document's processing: when its nth step is reached."""

    STEPS = ("parse", "begin", "upsert", "store", "finish", "count")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
        self.at: tuple[str, int] | None = None
        self.action: Step | None = None
        self.reached = 0
        world.parser.before = self._parse
        for owner, name in (
            (DocumentSink, "begin"),
            (DocumentSink, "store"),
            (DocumentSink, "finish"),
            (InMemoryTenantVectors, "upsert"),
            (InMemoryTenantVectors, "count"),
        ):
            monkeypatch.setattr(owner, name, self._around(name, getattr(owner, name)))

    def plan(self, step: str, nth: int, action: Step) -> None:
        self.at, self.action, self.reached = (step, nth), action, 0

    async def _parse(self) -> None:
        await self._reach("parse")

    def _around(self, name: str, method: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def around(*args: object, **kwargs: object) -> object:
            result = await method(*args, **kwargs)
            await self._reach(name)
            return result

        return around

    async def _reach(self, step: str) -> None:
        if self.at is None or step != self.at[0] or self.action is None:
            return
        self.reached += 1
        if self.reached == self.at[1]:
            action, self.action = self.action, None
            await action()


@pytest.fixture
def interleaved(monkeypatch: pytest.MonkeyPatch, world: World) -> Interleaved:
    return Interleaved(monkeypatch, world)


MOMENTS = [("parse", 1), ("begin", 1), ("upsert", 1), ("store", 1), ("upsert", 2), ("store", 2), ("count", 1)]


async def run_only(world: World, kind: str) -> None:
    """Do what waits of one kind."""
    for job in await world.waiting():
        if job.kind == kind:
            await world.runner().run(job.id)


@pytest.mark.parametrize("moment", [*MOMENTS, ("finish", 1)])
@pytest.mark.parametrize("is_purged_at_once", [True, False])
@pytest.mark.parametrize("is_second_version", [True, False])
async def test_a_document_deleted_while_it_is_processed_leaves_nothing(
    world: World,
    tenant: TenantContext,
    interleaved: Interleaved,
    moment: tuple[str, int],
    is_purged_at_once: bool,  # noqa: FBT001 - pytest names it
    is_second_version: bool,  # noqa: FBT001 - pytest names it
) -> None:
    document_id = await world.add(tenant)
    if is_second_version:
        await world.run_all()
        await world.reprocess(tenant, document_id)

    async def delete() -> None:
        await world.delete(tenant, document_id)
        if is_purged_at_once:
            await run_only(world, "document.purge")

    interleaved.plan(*moment, delete)
    await world.run_all()
    assert interleaved.action is None, "the moment was never reached"
    assert not world.rows("SELECT * FROM documents")
    assert_clean(world)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_worker_that_dies_with_a_deleted_document_leaves_nothing(
    world: World, tenant: TenantContext, interleaved: Interleaved, moment: tuple[str, int]
) -> None:
    document_id = await world.add(tenant)

    async def delete_and_die() -> None:
        await world.delete(tenant, document_id)
        await run_only(world, "document.purge")
        raise asyncio.CancelledError

    interleaved.plan(*moment, delete_and_die)
    (job,) = await world.waiting()
    with pytest.raises(asyncio.CancelledError):
        await world.runner().run(job.id)
    await world.run_all()
    assert_clean(world)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_knowledge_base_deleted_while_its_document_is_processed_leaves_nothing(
    world: World, tenant: TenantContext, interleaved: Interleaved, moment: tuple[str, int]
) -> None:
    async with world.database.write(tenant.tenant_id) as session:
        base = await KnowledgeService(session, tenant).create(KnowledgeBaseCreate(name="Short-lived"))
    document_id = await world.add(tenant)
    world.rows("UPDATE documents SET knowledge_base_id = ? WHERE id = ? RETURNING id", base.id, document_id)

    async def delete() -> None:
        async with world.database.write(tenant.tenant_id) as session:
            await KnowledgeService(session, tenant).delete(session, base.id)

    interleaved.plan(*moment, delete)
    await world.run_all()
    assert not world.rows("SELECT * FROM documents")
    assert_clean(world)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("reprocessed", [0, 1])
async def test_a_worker_that_was_given_up_for_dead_changes_nothing(
    world: World, tenant: TenantContext, interleaved: Interleaved, moment: tuple[str, int], reprocessed: int
) -> None:
    document_id = await world.add(tenant)

    async def stall() -> None:
        world.clock.pass_by(minutes=10)
        await world.run_all()
        for _ in range(reprocessed):
            await world.reprocess(tenant, document_id)
            await world.run_all()

    interleaved.plan(*moment, stall)
    await world.run_all()
    document = await get(world, tenant, document_id)
    assert (document.status, document.generation) == ("ready", 1 + reprocessed)
    assert_clean(world)


@pytest.mark.parametrize("moment", [*MOMENTS, ("finish", 1)])
async def test_search_finds_the_old_version_or_the_new_never_a_mix_or_nothing(
    world: World, tenant: TenantContext, interleaved: Interleaved, moment: tuple[str, int]
) -> None:
    world.parser.text = "\n\n".join(f"Old lamp number {number} shines." for number in range(300))
    document_id = await world.add(tenant)
    await world.run_all()
    world.parser.text = world.parser.text.replace("Old", "New")
    await world.reprocess(tenant, document_id)
    retriever = Retriever(HashedEmbedder(), world.vectors, passages_reader(world.database))
    seen: list[set[str]] = []

    async def search() -> None:
        found = await retriever.search(tenant, SearchQuery("lamp shines", top_k=5))
        assert len(found) == 5
        seen.append({passage.text.split()[0] for passage in found})

    interleaved.plan(*moment, search)
    await world.run_all()
    await search()
    assert seen == [{"New"} if moment == ("finish", 1) else {"Old"}, {"New"}]
    assert_clean(world)


async def test_a_version_replaced_between_the_stores_answer_and_the_databases_is_found_anew(
    world: World, tenant: TenantContext
) -> None:
    document_id = await world.add(tenant)
    await world.run_all()
    read, calls = passages_reader(world.database), 0

    async def read_late(context: TenantContext, chunk_ids: list[str]) -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            await world.reprocess(tenant, document_id)
            await world.run_all()
        return await read(context, chunk_ids)

    retriever = Retriever(HashedEmbedder(), world.vectors, read_late)  # type: ignore[arg-type]
    assert len(await retriever.search(tenant, SearchQuery("lamps", top_k=3))) == 3


async def test_what_is_being_processed_does_not_crowd_out_what_is_visible(
    world: World, tenant: TenantContext, interleaved: Interleaved
) -> None:
    world.parser.text = "A lamp and a net."
    visible = await world.add(tenant)
    await world.run_all()
    world.parser.text = "\n\n".join("lamp " * 20 for _ in range(60))
    await world.add(tenant)
    retriever = Retriever(HashedEmbedder(), world.vectors, passages_reader(world.database))
    found: list[str] = []

    async def search() -> None:
        found.extend(p.document_id for p in await retriever.search(tenant, SearchQuery("lamp", top_k=1)))

    interleaved.plan("count", 1, search)
    await world.run_all()
    assert found == [visible]


@pytest.mark.parametrize("seed", range(5))
async def test_random_interleavings_end_clean(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    async with open_world(tmp_path / "random", clock) as world:
        tenant = await world.make_tenant("random")
        interleaved = Interleaved(monkeypatch, world)
        living: list[str] = []

        async def act() -> None:
            match dice.choice(["add", "delete", "reprocess", "stall", "nest", "purge"]):
                case "add":
                    living.append(await world.add(tenant))
                case "delete" if living:
                    await world.delete(tenant, living.pop(dice.randrange(len(living))))
                case "reprocess" if living:
                    document = await get(world, tenant, dice.choice(living))
                    if document.status in {"ready", "failed"}:
                        await world.reprocess(tenant, document.id)
                case "stall":
                    clock.pass_by(seconds=31)
                    await run_some()
                case "nest":
                    await run_some()
                case "purge":
                    await run_only(world, "document.purge")

        async def run_some() -> None:
            jobs = await world.waiting()
            for job in dice.sample(jobs, k=min(2, len(jobs))):
                interleaved.plan(dice.choice(Interleaved.STEPS), dice.choice([1, 2]), act)
                await world.runner().run(job.id)

        for _ in range(60):
            await act()
            await run_some()
        interleaved.action = None
        for _ in range(6):
            clock.pass_by(hours=2)
            await world.run_all()
        documents = world.rows("SELECT id, status, error_code FROM documents")
        assert {row["id"] for row in documents} == set(living)
        assert {(row["status"], row["error_code"]) for row in documents} <= {("ready", None), ("failed", "worker_lost")}
        assert_clean(world)


async def test_uploads_that_no_row_names_are_swept_and_the_rest_is_not(world: World, tenant: TenantContext) -> None:
    kept, deleted, orphan = [await world.add(tenant) for _ in range(3)]
    await world.delete(tenant, deleted)
    world.rows("DELETE FROM documents WHERE id = ? RETURNING id", orphan)
    root: Path = world.stores.files._root  # type: ignore[attr-defined]
    (root / tenant.tenant_id / ".partial-0123").write_bytes(b"half")
    (root / tenant.tenant_id / "notes-of-the-operator").mkdir()
    stranger = root / "tnt_00000000000000000000000000" / "doc_00000000000000000000000000"
    stranger.mkdir(parents=True)
    assert await sweep_unrecorded(world.database, world.stores.files) == 1
    assert {path.name for path in (root / tenant.tenant_id).iterdir()} == {kept, deleted, "notes-of-the-operator"}
    assert stranger.exists(), "an unknown tenant's files: the database may be the wrong one"
    assert await sweep_unrecorded(world.database, world.stores.files) == 0
