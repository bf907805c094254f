"""Each wall between tenants with the others taken down: any one of them is enough."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from qdrant_edge import Filter
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.adapters.storage import FilesystemStorage
from app.adapters.vectors import filters
from app.adapters.vectors.base import VectorHit, VectorPoint, VectorQuery
from app.adapters.vectors.embedded import EmbeddedVectorStore
from app.core.database import Database
from app.core.errors import NotFound
from app.core.ids import chunk_uuid, id_of_uuid, new_id, uuid_of_id
from app.core.pagination import PageRequest
from app.core.tenancy import TenantContext
from app.models import (
    Agent,
    ApiKey,
    Chunk,
    Conversation,
    Document,
    IdempotencyRecord,
    Job,
    KnowledgeBase,
    Message,
    Run,
    UsageEvent,
    guard,
)
from app.models.guard import GuardedSession
from app.repositories.agents import AgentsRepository
from app.repositories.api_keys import ApiKeysRepository
from app.repositories.base import TenantRepository
from app.repositories.conversations import ConversationsRepository, MessagesRepository
from app.repositories.documents import ChunksRepository, DocumentsRepository
from app.repositories.idempotency import IdempotencyRepository
from app.repositories.jobs import JobsRepository
from app.repositories.knowledge import KnowledgeRepository
from app.repositories.runs import RunsRepository
from app.repositories.usage import UsageRepository
from app.services.knowledge import passages_reader
from app.services.retrieval.search import Retriever, SearchQuery
from tests.fixtures.service import Service, running_service, test_settings
from tests.isolation.world import SECRET, Household, settle

REPOSITORIES: dict[type[TenantRepository[Any]], type[Any]] = {
    AgentsRepository: Agent,
    ApiKeysRepository: ApiKey,
    ChunksRepository: Chunk,
    ConversationsRepository: Conversation,
    DocumentsRepository: Document,
    IdempotencyRepository: IdempotencyRecord,
    JobsRepository: Job,
    KnowledgeRepository: KnowledgeBase,
    MessagesRepository: Message,
    RunsRepository: Run,
    UsageRepository: UsageEvent,
}


class UnguardedSession(Session):
    """A session that no listener scopes: the wall of the ORM is down."""


def context_of(household: Household) -> TenantContext:
    return TenantContext.for_job(household.tenant.id, new_id("job"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(test_settings(tmp_path_factory.mktemp("walls"))) as running:
        yield running


@pytest.fixture(scope="module")
def mine(house: Service) -> Household:
    return settle(house, "The garden has a gate of iron.")


@pytest.fixture(scope="module")
def theirs(house: Service) -> Household:
    return settle(house)


@pytest.fixture
async def unguarded(house: Service) -> AsyncIterator[Database]:
    database = Database(house.settings.resolved_database_url, session_class=UnguardedSession)
    yield database
    await database.close()


@pytest.fixture
async def guarded(house: Service) -> AsyncIterator[Database]:
    database = Database(house.settings.resolved_database_url, session_class=GuardedSession)
    yield database
    await database.close()


def test_every_repository_of_a_tenant_is_here() -> None:
    assert set(TenantRepository.__subclasses__()) == REPOSITORIES.keys()
    assert all(repository.model is model for repository, model in REPOSITORIES.items())


async def test_repositories_alone_keep_tenants_apart(unguarded: Database, mine: Household, theirs: Household) -> None:
    async with unguarded.read(mine.tenant.id) as session:
        everything = {row.tenant_id for row in await session.scalars(sa.select(Document))}
        assert everything == {mine.tenant.id, theirs.tenant.id}, "the guard is meant to be down here"
        for repository, model in REPOSITORIES.items():
            rows = repository(session, context_of(mine))
            seen = (await rows.page(PageRequest(limit=100))).items
            assert {row.tenant_id for row in seen} <= {mine.tenant.id}, repository
            foreign = await session.scalars(sa.select(model).where(model.tenant_id == theirs.tenant.id))
            for row in foreign.all():
                assert await rows.find(row.id) is None, repository
                with pytest.raises(NotFound):
                    await rows.get(row.id)


async def test_repositories_alone_write_to_one_tenant(unguarded: Database, mine: Household, theirs: Household) -> None:
    async with unguarded.read(mine.tenant.id) as session:
        documents, chunks = DocumentsRepository(session, context_of(mine)), ChunksRepository(session, context_of(mine))
        assert not await documents.set(theirs.ids["doc"], title="written")
        await chunks.remove_generation(theirs.ids["doc"], 1)
        await chunks.remove_other_generations(theirs.ids["doc"], 99)
        assert await chunks.read([theirs.ids["chk"]]) == {}
        assert await documents.ids_of_base(theirs.ids["kb"]) == []
        left = await session.scalar(sa.select(sa.func.count()).where(Chunk.tenant_id == theirs.tenant.id))
        assert left == 1


async def test_the_guard_alone_keeps_tenants_apart(guarded: Database, mine: Household, theirs: Household) -> None:
    """Queries that forgot the tenant altogether."""
    async with guarded.read(mine.tenant.id) as session:
        for model in REPOSITORIES.values():
            seen = (await session.scalars(sa.select(model))).all()
            assert {row.tenant_id for row in seen} <= {mine.tenant.id}, model
            assert (await session.scalars(sa.select(model).where(model.tenant_id == theirs.tenant.id))).all() == []
            for key in theirs.ids.values():
                assert (await session.scalars(sa.select(model).where(model.id == key))).all() == []


def point_of(tenant_id: str, document_id: str, ordinal: int = 0, text: str = "vault") -> VectorPoint:
    vector = np.zeros(8, dtype=np.float32)
    vector[0] = 1
    return VectorPoint(
        id=chunk_uuid(tenant_id, document_id, 1, ordinal),
        document_id=document_id,
        knowledge_base_id="kb",
        generation=1,
        text=text,
        vector=vector,
        metadata={"tenant_id": tenant_id},
    )


@pytest.mark.parametrize("mode", ["hybrid", "dense", "sparse"])
async def test_vectors_alone_keep_tenants_apart(tmp_path: Path, mode: Any) -> None:
    store = await EmbeddedVectorStore.open(tmp_path, embedder_name="test", dimension=8)
    try:
        contexts = [TenantContext.for_job(new_id("tnt"), new_id("job")) for _ in range(2)]
        points = [point_of(context.tenant_id, "doc_shared") for context in contexts]
        for context, point in zip(contexts, points, strict=True):
            await store.for_tenant(context).upsert([point])
        for context, point in zip(contexts, points, strict=True):
            plain = VectorQuery(text="vault", vector=point.vector, mode=mode)
            for query in (
                plain,
                replace(plain, document_ids=["doc_shared"]),
                replace(plain, knowledge_base_ids=["kb"]),
            ):
                assert [hit.id for hit in await store.for_tenant(context).search(query)] == [point.id]
            other = contexts[context is contexts[0]].tenant_id
            query = VectorQuery(text="vault", vector=point.vector, mode=mode, metadata={"tenant_id": other})
            assert await store.for_tenant(context).search(query) == []
        await store.for_tenant(contexts[0]).delete_document("doc_shared")
        await store.for_tenant(contexts[0]).delete_all()
        assert await store.for_tenant(contexts[1]).count("doc_shared", 1) == 1
    finally:
        await store.close()


async def test_the_store_drops_what_a_broken_filter_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await EmbeddedVectorStore.open(tmp_path, embedder_name="test", dimension=8)
    try:
        me, them = (TenantContext.for_job(new_id("tnt"), new_id("job")) for _ in range(2))
        await store.for_tenant(them).upsert([point_of(them.tenant_id, "doc")])
        monkeypatch.setattr(filters, "of_tenant", lambda _, *others: Filter(must=[*others]))
        query = VectorQuery(text="vault", vector=point_of(me.tenant_id, "doc").vector, mode="dense")
        assert await store.for_tenant(me).search(query) == []
        assert len(await store.for_tenant(them).search(query)) == 1
    finally:
        await store.close()


class LeakingVectors:
    """A vector store without any wall: whoever asks is shown another tenant's chunk."""

    def __init__(self, chunk_id: str) -> None:
        self._hit = VectorHit(uuid_of_id(chunk_id), 1.0)

    def for_tenant(self, _: TenantContext) -> "LeakingVectors":
        return self

    async def search(self, _: VectorQuery) -> list[VectorHit]:
        return [self._hit]


async def test_the_database_drops_what_leaking_vectors_found(
    guarded: Database, unguarded: Database, mine: Household, theirs: Household, house: Service
) -> None:
    assert id_of_uuid("chk", uuid_of_id(theirs.ids["chk"])) == theirs.ids["chk"]
    vectors: Any = LeakingVectors(theirs.ids["chk"])
    for database in (guarded, unguarded):
        retriever = Retriever(house.application.resources.embedder, vectors, passages_reader(database))
        assert await retriever.search(context_of(mine), SearchQuery(text=SECRET)) == []
        found = await retriever.search(context_of(theirs), SearchQuery(text=SECRET))
        assert [passage.chunk_id for passage in found] == [theirs.ids["chk"]]


async def test_a_folder_expresses_no_key_of_another_tenant(tmp_path: Path) -> None:
    storage = FilesystemStorage(tmp_path / "files")
    me, them = (TenantContext.for_job(new_id("tnt"), new_id("job")) for _ in range(2))

    async def content() -> AsyncIterator[bytes]:
        yield SECRET.encode()

    await storage.for_tenant(them).put("doc_x/original", content(), max_bytes=100)
    mine = storage.for_tenant(me)
    for name in (
        f"../{them.tenant_id}/doc_x/original",
        f"doc_x/../../{them.tenant_id}/doc_x/original",
        f"{tmp_path}/files/{them.tenant_id}/doc_x/original",
        "..",
        ".",
        "",
        "/",
        "doc_x//original",
        "doc_x/./original",
        ".partial-0",
        "doc_x/\x00",
        "doc_x\\original",
        "~/x",
        "ｄoc．．/x",
    ):
        with pytest.raises(ValueError, match="did not make"):
            await mine.put(name, content(), max_bytes=100)
        with pytest.raises(ValueError, match="did not make"):
            await mine.delete(name)
    with pytest.raises(FileNotFoundError):
        async for _ in mine.read("doc_x/original"):
            pass
    await mine.delete("doc_x")
    await mine.delete_all()
    assert [piece async for piece in storage.for_tenant(them).read("doc_x/original")] == [SECRET.encode()]
    for tenant_id in ("", "..", "tnt_../x", "*system*", "tnt_x"):
        with pytest.raises(ValueError, match="needs a tenant"):
            storage.for_tenant(TenantContext.for_job(tenant_id, "job"))


async def test_every_statement_of_the_service_passes_the_guard(house: Service) -> None:
    """The listeners are on the session class that the service really uses."""
    assert event.contains(GuardedSession, "do_orm_execute", guard._scope_statement)
    assert event.contains(GuardedSession, "before_flush", guard._check_flush)
    sessions = house.application.resources.database._sessions
    assert sessions.kw["sync_session_class"] is GuardedSession
