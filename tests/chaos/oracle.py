"""Judges an installation whose process has ended, by its raw stores: nothing lost, nothing doubled, nothing left over."""

import hashlib
import importlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from qdrant_edge import ScrollRequest

from app.adapters.embeddings.base import Embedder
from app.adapters.parsing.sandbox import PARSERS
from app.adapters.vectors.engine import open_shard
from app.adapters.vectors.layout import collection_name
from app.core.ids import chunk_uuid, uuid_of_id
from app.services.ingestion.chunk import Chunk, chunk
from tests.chaos.ledger import Ledger

_CHUNK_TOKENS = 200  # the default of the setting


@dataclass(frozen=True)
class Verdict:
    """What was found in an installation that holds what it should."""

    documents: int
    chunks: int
    points: int
    attempts: int


class Oracle:
    """Knows what every file must become."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def judge(self, data_dir: Path, ledger: Ledger) -> Verdict:
        """Raise AssertionError unless everything acknowledged is there exactly once, and nothing else is."""
        with closing(sqlite3.connect(f"file:{data_dir / 'insula.db'}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            documents = {row["id"]: row for row in database.execute("SELECT * FROM documents")}
            chunks = database.execute("SELECT * FROM chunks ORDER BY document_id, generation, ordinal").fetchall()
            jobs = database.execute("SELECT * FROM jobs").fetchall()
            usage = database.execute("SELECT * FROM usage_events").fetchall()
        _judge_acknowledged(documents, ledger)
        for document in documents.values():
            own = [row for row in chunks if row["document_id"] == document["id"]]
            expected = self._expected(data_dir, document)
            _judge_document(document, own, expected)
            self._judge_usage(document, usage, expected)
        _judge_jobs(documents, jobs)
        _judge_files(data_dir, documents)
        points = self._judge_points(data_dir, chunks)
        assert len(chunks) == sum(row["chunk_count"] for row in documents.values())
        return Verdict(len(documents), len(chunks), points, max(row["attempts"] for row in documents.values()))

    def _expected(self, data_dir: Path, document: Any) -> list[Chunk]:
        path = data_dir / "files" / document["tenant_id"] / document["id"] / "original"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == document["content_hash"], f"{path} is not what was sent"
        with path.open("rb") as file:
            parsed = importlib.import_module(PARSERS[document["content_type"]]).parse(file, 10**7)
        return chunk(
            parsed,
            max_tokens=_CHUNK_TOKENS,
            count_tokens=self._embedder.count_tokens,
            is_markdown=document["content_type"] == "text/markdown",
        )

    def _judge_usage(self, document: Any, usage: list[Any], expected: list[Chunk]) -> None:
        subjects = [f"{document['id']}/{generation}" for generation in range(1, document["generation"] + 1)]
        own = [row for row in usage if row["subject_id"].startswith(document["id"])]
        assert sorted(row["subject_id"] for row in own) == sorted(subjects), f"{document['id']} was not billed once"
        tokens = sum(self._embedder.count_tokens(piece.text) for piece in expected)
        assert {row["input_tokens"] for row in own} == {tokens}

    def _judge_points(self, data_dir: Path, chunks: list[Any]) -> int:
        wanted = {(uuid_of_id(row["id"]), row["tenant_id"], row["document_id"], row["generation"]) for row in chunks}
        name = collection_name(self._embedder.name)
        shard = open_shard(data_dir / "vectors", name, self._embedder.dimension)
        try:
            found: list[tuple[Any, ...]] = []
            offset: Any = None
            while True:
                records, offset = shard.scroll(ScrollRequest(limit=1000, offset=offset, with_payload=True))
                found += [
                    (UUID(str(record.id)), *(record.payload[key] for key in ("tenant_id", "document_id", "generation")))
                    for record in records
                    if record.payload is not None
                ]
                if offset is None:
                    break
        finally:
            shard.close()
        assert len(found) == len(set(found)), "a point is there twice"
        assert set(found) == wanted, f"{len(set(found) - wanted)} points too many, {len(wanted - set(found))} missing"
        return len(found)


def _judge_acknowledged(documents: dict[str, Any], ledger: Ledger) -> None:
    for ack in ledger.acks():
        row = documents.get(ack.id)
        assert row is not None, f"{ack} was acknowledged and is lost"
        assert (row["name"], row["content_hash"]) == (ack.name, ack.sha256)
    undead = documents.keys() & ledger.doomed()
    assert not undead, f"deleted and still there: {undead}"


def _judge_document(document: Any, rows: list[Any], expected: list[Chunk]) -> None:
    assert document["status"] == "ready", f"{document['id']} is {document['status']}: {document['error_code']}"
    assert (document["stage"], document["progress"]) == ("done", 1.0)
    assert {row["generation"] for row in rows} == {document["generation"]}
    assert document["chunk_count"] == len(expected)
    assert [(row["ordinal"], row["text"], row["start"], row["end"]) for row in rows] == [
        (piece.ordinal, piece.text, piece.start, piece.end) for piece in expected
    ]
    assert [uuid_of_id(row["id"]) for row in rows] == [
        chunk_uuid(document["tenant_id"], document["id"], document["generation"], piece.ordinal) for piece in expected
    ]


def _judge_jobs(documents: dict[str, Any], jobs: list[Any]) -> None:
    unfinished = [(row["kind"], row["state"]) for row in jobs if row["state"] not in {"succeeded", "failed"}]
    assert not unfinished, f"stuck: {unfinished}"
    processed = [row["subject_id"] for row in jobs if row["kind"] == "document.process" and row["state"] == "succeeded"]
    for document in documents.values():
        assert processed.count(document["id"]) == document["generation"]


def _judge_files(data_dir: Path, documents: dict[str, Any]) -> None:
    expected = {f"{row['tenant_id']}/{row['id']}/original" for row in documents.values()}
    root = data_dir / "files"
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert found == expected, f"left over: {found - expected}, lost: {expected - found}"
    folders = {str(path.relative_to(root)) for path in root.glob("*/*")}
    assert folders == {name.removesuffix("/original") for name in expected}
