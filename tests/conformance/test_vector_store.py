"""What every vector store promises: above all that a tenant finds its own points and nobody else's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.adapters.embeddings.hashed import HashedEmbedder
from app.adapters.vectors import VectorBackend, build_vector_store
from app.adapters.vectors.base import Range, SearchMode, TenantVectors, VectorPoint, VectorQuery, VectorStore
from app.adapters.vectors.errors import ForeignPoint
from app.adapters.vectors.memory import InMemoryVectorStore
from app.core.ids import chunk_uuid
from app.core.tenancy import TenantContext

BACKENDS: tuple[VectorBackend, ...] = ("embedded", "memory")
MODES: tuple[SearchMode, ...] = ("hybrid", "dense", "sparse")
EMBEDDER = HashedEmbedder(dimension=32)


def tenant(name: str) -> TenantContext:
    return TenantContext.for_job(name, "test")


async def point(
    text: str,
    *,
    identifier: UUID | None = None,
    document: str = "doc",
    base: str = "kb",
    generation: int = 1,
    metadata: dict[str, Any] | None = None,
) -> VectorPoint:
    vector = await EMBEDDER.embed_query(text)
    return VectorPoint(identifier or uuid4(), document, base, generation, text, vector, metadata or {})


async def find(vectors: TenantVectors, text: str, mode: SearchMode = "hybrid", **wanted: Any) -> list[UUID]:
    query = VectorQuery(text, await EMBEDDER.embed_query(text), mode=mode, **wanted)
    return [hit.id for hit in await vectors.search(query)]


async def open_store(backend: VectorBackend, directory: Path) -> VectorStore:
    return await build_vector_store(
        backend, embedder_name=EMBEDDER.name, dimension=EMBEDDER.dimension, directory=directory
    )


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorStore]:
    store = await open_store(request.param, tmp_path)
    yield store
    await store.close()


@pytest.mark.parametrize("mode", MODES)
async def test_the_best_match_comes_first_in_every_mode(store: VectorStore, mode: SearchMode) -> None:
    vectors = store.for_tenant(tenant("a"))
    points = [await point(text) for text in ("red apples grow", "green pears grow", "ships sail far")]
    await vectors.upsert(points)
    found = await find(vectors, "green pears", mode)
    assert found[0] == points[1].id
    assert len(await find(vectors, "green pears grow", mode, limit=1)) == 1
    assert await find(vectors, "green", mode, limit=0) == []
    hits = await vectors.search(VectorQuery("grow", await EMBEDDER.embed_query("grow"), mode=mode))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_searching_by_words_needs_no_vector_and_by_meaning_does(store: VectorStore) -> None:
    vectors = store.for_tenant(tenant("a"))
    await vectors.upsert([await point("red apples")])
    assert len(await vectors.search(VectorQuery("apple", None, mode="sparse"))) == 1
    assert await vectors.search(VectorQuery("?!", None, mode="sparse")) == []
    for mode in ("dense", "hybrid"):
        with pytest.raises(ValueError, match="needs a vector"):
            await vectors.search(VectorQuery("apple", None, mode=mode))


async def test_a_vector_that_is_not_trusted_does_not_outrank_words(store: VectorStore) -> None:
    vectors = store.for_tenant(tenant("a"))
    words, meaning = await point("red apples"), await point("blue ships")
    words = replace(words, vector=meaning.vector * -1)
    await vectors.upsert([words, meaning])
    query = VectorQuery("apples", meaning.vector, dense_weight=0.0)
    assert next(hit.id for hit in await vectors.search(query)) == words.id
    unknown = replace(query, text="no such thing")
    assert next(hit.id for hit in await vectors.search(unknown)) == meaning.id


async def test_writing_again_replaces(store: VectorStore) -> None:
    vectors = store.for_tenant(tenant("a"))
    first = await point("red apples", metadata={"colour": "red"})
    for _ in range(3):
        await vectors.upsert([first])
    assert await vectors.count("doc", 1) == 1
    await vectors.upsert([await point("blue ships", identifier=first.id, metadata={"colour": "blue"})])
    assert await vectors.count("doc", 1) == 1
    assert await find(vectors, "apples", "sparse") == []
    assert await find(vectors, "ships", "sparse") == [first.id]
    assert await find(vectors, "ships", metadata={"colour": "red"}) == []


async def test_counts_and_deletes_by_document_and_generation(store: VectorStore) -> None:
    vectors = store.for_tenant(tenant("a"))
    points = [await point(f"text {n}", document=f"d{n % 2}", generation=1 + n % 3) for n in range(600)]
    await vectors.upsert(points)
    assert [await vectors.count("d0", generation) for generation in (1, 2, 3, 4)] == [100, 100, 100, 0]
    await vectors.delete_document("d0", keep_generation=2)
    assert [await vectors.count("d0", generation) for generation in (1, 2, 3)] == [0, 100, 0]
    await vectors.delete_document("d0")
    assert [await vectors.count(document, 2) for document in ("d0", "d1")] == [0, 100]
    await vectors.delete_generation("d1", 3)
    assert [await vectors.count("d1", generation) for generation in (1, 2, 3)] == [100, 100, 0]
    await vectors.delete_document("never existed")


async def test_ids_of_knowledge_bases_and_documents_narrow_and_none_leaves_nothing(store: VectorStore) -> None:
    vectors = store.for_tenant(tenant("a"))
    points = [await point("apples", document=f"d{n}", base=f"kb{n % 2}") for n in range(4)]
    await vectors.upsert(points)
    ids = [p.id for p in points]
    for mode in MODES:
        assert set(await find(vectors, "apples", mode)) == set(ids)
        assert set(await find(vectors, "apples", mode, knowledge_base_ids=["kb1"])) == {ids[1], ids[3]}
        assert await find(vectors, "apples", mode, document_ids=["d2"]) == [ids[2]]
        assert await find(vectors, "apples", mode, knowledge_base_ids=["kb1"], document_ids=["d2"]) == []
        assert await find(vectors, "apples", mode, knowledge_base_ids=[]) == []
        assert await find(vectors, "apples", mode, document_ids=[]) == []
        assert await find(vectors, "apples", mode, document_ids=["*", "", "d9"] * 3000) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"year": 2020}, {0}),
        ({"year": 2020.0}, {0}),
        ({"year": [2020, 2022]}, {0, 2}),
        ({"year": Range(gte=2021)}, {1, 2}),
        ({"year": Range(gt=2021, lte=2022)}, {2}),
        ({"year": Range()}, {0, 1, 2}),
        ({"year": "2020"}, set()),
        ({"year": []}, set()),
        ({"open": True}, {1}),
        ({"open": 1}, set()),
        ({"open": [False, "yes"]}, {0, 2}),
        ({"tags": "b"}, {0, 1}),
        ({"tags": ["a", "c"]}, {0, 1}),
        ({"dotted.key [0]": "x"}, {2}),
        ({"dotted": "x"}, set()),
        ({"absent": "x"}, set()),
        ({"year": Range(gte=2021), "tags": "b"}, {1}),
    ],
)
async def test_metadata_filters(store: VectorStore, wanted: dict[str, Any], expected: set[int]) -> None:
    vectors = store.for_tenant(tenant("a"))
    points = [
        await point("apples", metadata={"year": 2020, "open": False, "tags": ["a", "b"]}),
        await point("apples", metadata={"year": 2021, "open": True, "tags": ["b", "c"]}),
        await point("apples", metadata={"year": 2022, "open": "yes", "dotted.key [0]": "x"}),
    ]
    await vectors.upsert(points)
    for mode in MODES:
        assert set(await find(vectors, "apples", mode, metadata=wanted)) == {points[n].id for n in expected}


@pytest.mark.parametrize("key", ["", 'a"b', "a\\", '"].tenant_id'])
async def test_keys_that_no_path_can_name_are_refused(store: VectorStore, key: str) -> None:
    vectors = store.for_tenant(tenant("a"))
    with pytest.raises(ValueError, match="metadata key"):
        await vectors.upsert([await point("apples", metadata={key: "x"})])
    with pytest.raises(ValueError, match="metadata key"):
        await find(vectors, "apples", metadata={key: "x"})


async def test_tenants_do_not_meet_though_their_documents_have_the_same_ids(store: VectorStore) -> None:
    a, b = store.for_tenant(tenant("a")), store.for_tenant(tenant("b"))
    of_a, of_b = (
        await point("apples of a", metadata={"tenant_id": "b"}),
        await point("apples of b", metadata={"tenant_id": "a"}),
    )
    await a.upsert([of_a])
    await b.upsert([of_b])
    for mode in MODES:
        assert await find(a, "apples of b", mode) == [of_a.id]
        assert await find(b, "apples of a", mode) == [of_b.id]
        assert await find(a, "apples", mode, metadata={"tenant_id": "a"}) == []
        assert await find(a, "apples", mode, document_ids=["doc"], metadata={"tenant_id": "b"}) == [of_a.id]
    await a.delete_document("doc")
    assert (await a.count("doc", 1), await b.count("doc", 1)) == (0, 1)
    await a.upsert([of_a])
    await a.delete_all()
    assert await find(b, "apples") == [of_b.id]


async def test_a_point_of_another_tenant_is_not_overwritten(store: VectorStore) -> None:
    a, b = store.for_tenant(tenant("a")), store.for_tenant(tenant("b"))
    of_a = await point("apples of a")
    await a.upsert([of_a])
    with pytest.raises(ForeignPoint):
        await b.upsert([await point("mine"), await point("pears of b", identifier=of_a.id)])
    assert await find(a, "apples", "sparse") == [of_a.id]
    assert await b.count("doc", 1) == 0


async def test_another_tenants_words_do_not_weigh_on_scores(store: VectorStore) -> None:
    a, b = store.for_tenant(tenant("a")), store.for_tenant(tenant("b"))
    await a.upsert([await point("rare common"), await point("common"), await point("common other")])
    before = await a.search(VectorQuery("rare common", None, mode="sparse"))
    await b.upsert([await point("rare rare rare") for _ in range(200)])
    assert await a.search(VectorQuery("rare common", None, mode="sparse")) == before


async def test_a_store_of_one_tenant_only_is_reached_through_a_context(store: VectorStore) -> None:
    methods = {name for name in dir(store) if not name.startswith("_") and callable(getattr(store, name))}
    assert methods <= {"for_tenant", "is_healthy", "close", "maintain", "open", "note_changes"}
    with pytest.raises(AttributeError):
        store.for_tenant(None)  # type: ignore[arg-type]


async def test_two_event_loops_and_many_tasks_lose_nothing(store: VectorStore) -> None:
    async def work(name: str) -> None:
        vectors = store.for_tenant(tenant(name))
        for batch in range(5):
            await vectors.upsert([await point(f"apples {name}", document=name, generation=batch) for _ in range(60)])
            await find(vectors, "apples", limit=100)

    async def several(*names: str) -> None:
        await asyncio.gather(*(work(name) for name in names))

    await asyncio.gather(
        several("a", "b"),
        asyncio.to_thread(lambda: asyncio.run(several("c", "d"))),
        asyncio.to_thread(lambda: asyncio.run(several("e"))),
    )
    for name in "abcde":
        vectors = store.for_tenant(tenant(name))
        assert [await vectors.count(name, batch) for batch in range(5)] == [60] * 5


KEYS = st.sampled_from(["a", "b", "tenant_id", "x.y", "ключ", "document_id"])
VALUES = st.one_of(
    st.sampled_from(["t0", "t1", "", "*"]), st.booleans(), st.integers(-3, 3), st.sampled_from([-1.5, 0.0, 2.0, 2.5])
)
BOUND = st.none() | st.integers(-3, 3).map(float)
WANTED = st.one_of(VALUES, st.lists(VALUES, max_size=3), st.builds(Range, gt=BOUND, gte=BOUND, lt=BOUND, lte=BOUND))
METADATA = st.dictionaries(KEYS, st.one_of(VALUES, st.lists(VALUES, max_size=3)), max_size=4)
IDS = st.none() | st.lists(st.sampled_from(["d0", "d1", "kb0", "kb1", "*", "t1", ""]), max_size=3)
QUERIES = st.tuples(
    st.sampled_from(MODES),
    st.dictionaries(KEYS, WANTED, max_size=2),
    IDS,
    IDS,
    st.sampled_from(["apples", "pears", "?"]),
)


@settings(
    max_examples=100, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(metadata=st.lists(METADATA, min_size=12, max_size=12), queries=st.lists(QUERIES, min_size=30, max_size=30))
def _compare_on_many(loop: asyncio.Runner, store: VectorStore, metadata: list[Any], queries: list[Any]) -> None:
    loop.run(_compare(store, metadata, queries))


def test_any_filter_finds_what_the_reference_finds_and_nothing_foreign(tmp_path: Path) -> None:
    """100 sets of points, 30 filters for each, asked by two tenants: 6,000 searches."""
    with asyncio.Runner() as loop:
        store = loop.run(open_store("embedded", tmp_path))
        _compare_on_many(loop, store)
        loop.run(store.close())


async def _compare(engine: VectorStore, metadata: Sequence[dict[str, Any]], queries: Sequence[Any]) -> None:
    reference = InMemoryVectorStore()
    own: dict[str, set[UUID]] = {str(uuid4()): set() for _ in range(2)}
    for n, values in enumerate(metadata):
        name, document = list(own)[n % 2], f"d{n % 3}"
        text, identifier = ("apples", "pears", "ships")[n % 3], chunk_uuid(name, document, 1, n)
        chunk = await point(f"{text} {n}", identifier=identifier, document=document, base=f"kb{n % 2}", metadata=values)
        own[name].add(identifier)
        for store in (engine, reference):
            await store.for_tenant(tenant(name)).upsert([chunk])
    for mode, wanted, bases, documents, text in queries:
        query = VectorQuery(
            text,
            await EMBEDDER.embed_query(text),
            mode=mode,
            limit=50,
            knowledge_base_ids=bases,
            document_ids=documents,
            metadata=wanted,
        )
        for name, identifiers in own.items():
            found = {hit.id: hit.score for hit in await engine.for_tenant(tenant(name)).search(query)}
            expected = {hit.id: hit.score for hit in await reference.for_tenant(tenant(name)).search(query)}
            assert found.keys() <= identifiers
            assert found == pytest.approx(expected, abs=1e-3)
