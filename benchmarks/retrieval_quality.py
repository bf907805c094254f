"""How well the embedded profile finds passages, on public test collections, by words, by meaning and by both.

    python benchmarks/retrieval_quality.py DATA [--sets cranfield xquad-en ...] [--queries 1500]

``DATA`` is the folder of the open test data; its ``ir/<name>`` hold a collection each. Every passage is one point of
one tenant (title and text), embedded and searched by the product's own adapters. Prints nDCG@10 with linear gain,
recall@10 and MRR@10 over the queries that have a relevant passage, and ``below`` where both together are worse than
words alone. The exit status is 1 then: fusing may never cost a language what plain words would have found.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from app.adapters.embeddings import build_embedder
from app.adapters.embeddings.base import Embedder
from app.adapters.vectors import build_vector_store
from app.adapters.vectors.base import SearchMode, TenantVectors, VectorPoint, VectorQuery
from app.core.tenancy import TenantContext

MODES: tuple[SearchMode, ...] = ("sparse", "dense", "hybrid")
#: Below this a difference in nDCG is rounding, not quality.
TOLERANCE = 0.0005
_NAMESPACE = UUID("6f0a3c1e-4d0b-5d6a-9a53-2f1f8f6f7d12")
Grades = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over the queries of a collection."""

    ndcg: float
    recall: float
    reciprocal_rank: float


def score(ranked: Sequence[str], grades: Grades, depth: int = 10) -> Figures:
    """One query's figures; grades above 0 are relevant."""
    relevant = {identifier: grade for identifier, grade in grades.items() if grade > 0}
    best = sorted(relevant.values(), reverse=True)[:depth]
    top = list(ranked[:depth])
    gain = sum(relevant.get(identifier, 0) / math.log2(rank + 2) for rank, identifier in enumerate(top))
    ideal = sum(grade / math.log2(rank + 2) for rank, grade in enumerate(best))
    first = next((rank for rank, identifier in enumerate(top, 1) if identifier in relevant), None)
    return Figures(gain / ideal, len(relevant.keys() & set(top)) / len(relevant), 1 / first if first else 0.0)


def mean(figures: Sequence[Figures]) -> Figures:
    """The mean of each figure."""
    count = len(figures)
    return Figures(
        sum(figure.ndcg for figure in figures) / count,
        sum(figure.recall for figure in figures) / count,
        sum(figure.reciprocal_rank for figure in figures) / count,
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON lines file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def read_grades(path: Path) -> dict[str, dict[str, int]]:
    """The judgements by query, for queries with a relevant passage."""
    grades: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for line in path.read_text("utf-8").splitlines():
        query, passage, grade = line.split("\t")
        grades[query][passage] = int(grade)
    return {query: judged for query, judged in grades.items() if max(judged.values()) > 0}


async def index(passages: Sequence[Mapping[str, Any]], embedder: Embedder, vectors: TenantVectors) -> dict[UUID, str]:
    """Store every passage as one point; the names of the points."""
    names = {uuid5(_NAMESPACE, passage["id"]): str(passage["id"]) for passage in passages}
    texts = [f"{passage.get('title') or ''}\n{passage['text']}".strip() for passage in passages]
    embedded = await embedder.embed_passages(texts)
    points = [
        VectorPoint(identifier, name, "collection", 1, text, vector)
        for (identifier, name), text, vector in zip(names.items(), texts, embedded, strict=True)
    ]
    await vectors.upsert(points)
    return names


async def measure(collection: Path, embedder: Embedder, most_queries: int) -> dict[SearchMode, Figures]:
    """A collection's figures by search mode; queries are taken evenly where there are more than ``most_queries``."""
    grades = read_grades(collection / "qrels.tsv")
    queries = [query for query in read_lines(collection / "queries.jsonl") if query["id"] in grades]
    queries = queries[:: math.ceil(len(queries) / most_queries)]
    with tempfile.TemporaryDirectory() as directory:
        store = await build_vector_store(
            "embedded", embedder_name=embedder.name, dimension=embedder.dimension, directory=Path(directory)
        )
        vectors = store.for_tenant(TenantContext.for_job("benchmark", "benchmark"))
        names = await index(read_lines(collection / "corpus.jsonl"), embedder, vectors)
        figures: dict[SearchMode, list[Figures]] = {mode: [] for mode in MODES}
        for query in queries:
            text = query["text"]
            vector, weight = await embedder.embed_query(text), embedder.familiarity(text)
            for mode in MODES:
                hits = await vectors.search(VectorQuery(text, vector, mode=mode, dense_weight=weight))
                figures[mode].append(score([names[hit.id] for hit in hits], grades[query["id"]]))
        await store.close()
    return {mode: mean(of_mode) for mode, of_mode in figures.items()}


async def main(data: Path, sets: Sequence[str], most_queries: int) -> int:
    """Print a table of all sets; 1 where a hybrid search is below words alone, else 0."""
    embedder = await build_embedder("local", threads=2)
    is_below = False
    print("| set | words (BM25) nDCG@10 / R@10 / MRR@10 | meaning | both | |\n|---|---|---|---|---|")
    for name in sets:
        started = time.monotonic()
        figures = await measure(data / "ir" / name, embedder, most_queries)
        cells = [f"{of.ndcg:.3f} / {of.recall:.3f} / {of.reciprocal_rank:.3f}" for of in figures.values()]
        worse = figures["hybrid"].ndcg < figures["sparse"].ndcg - TOLERANCE
        is_below |= worse
        print(f"| {name} | {' | '.join(cells)} | {'below' if worse else ''} |", flush=True)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    await embedder.close()
    return int(is_below)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="*", default=None)
    parser.add_argument("--queries", type=int, default=100_000)
    chosen = parser.parse_args()
    available = sorted(path.name for path in (chosen.data / "ir").iterdir() if path.is_dir())
    sys.exit(asyncio.run(main(chosen.data, chosen.sets or available, chosen.queries)))
