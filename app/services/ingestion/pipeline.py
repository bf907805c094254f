"""From a file to searchable chunks, in named stages: parse, chunk, then embed and store in batches."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from app.adapters.embeddings.base import Embedder, Vector
from app.adapters.parsing.base import DocumentParser, ParsedDocument, ParseFailure
from app.services.ingestion.chunk import Chunk, chunk

Stage = Literal["parsing", "chunking", "embedding", "storing"]
#: Told when a stage begins, with the fraction of the whole that is done.
Report = Callable[[Stage, float], Awaitable[None]]

_BATCH = 32
_CHUNKING_AT, _EMBEDDING_AT, _STORING_AT = 0.1, 0.15, 0.97


class Sink(Protocol):
    """Where chunks go. Everything may be called again for the same document, and then replaces what was there."""

    async def begin(self) -> None:
        """Clear what an earlier attempt left."""
        ...

    async def store(self, chunks: Sequence[Chunk], vectors: Sequence[Vector], progress: float) -> None:
        """Keep a batch durably, and show the progress."""
        ...

    async def finish(self, document: ParsedDocument, *, chunk_count: int, tokens: int) -> None:
        """Check that everything is there, then make it visible in one step; ``tokens`` is what was embedded."""
        ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts that turn files into chunks, and how finely they cut."""

    parser: DocumentParser
    embedder: Embedder
    chunk_tokens: int
    overlap_tokens: int = 0

    async def ingest(self, path: Path, content_type: str, sink: Sink, report: Report) -> None:
        """Take one file through all stages; raises ParseFailure where it cannot be read."""
        await report("parsing", 0.0)
        document = await self.parser.parse(path, content_type)
        await report("chunking", _CHUNKING_AT)
        chunks = await asyncio.to_thread(self._cut, document, content_type)
        await report("embedding", _EMBEDDING_AT)
        await sink.begin()
        for start in range(0, len(chunks), _BATCH):
            await self._embed_and_store(chunks, start, sink)
        await report("storing", _STORING_AT)
        tokens = await asyncio.to_thread(lambda: sum(self.embedder.count_tokens(piece.text) for piece in chunks))
        await sink.finish(document, chunk_count=len(chunks), tokens=tokens)

    def _cut(self, document: ParsedDocument, content_type: str) -> list[Chunk]:
        chunks = chunk(
            document,
            max_tokens=self.chunk_tokens,
            overlap_tokens=self.overlap_tokens,
            count_tokens=self.embedder.count_tokens,
            is_markdown=content_type == "text/markdown",
        )
        if not chunks:
            raise ParseFailure("empty_text", "The file holds no text. Check that it is the right file.")
        return chunks

    async def _embed_and_store(self, chunks: Sequence[Chunk], start: int, sink: Sink) -> None:
        batch = chunks[start : start + _BATCH]
        vectors = await self.embedder.embed_passages([_with_headings(piece) for piece in batch])
        done = (start + len(batch)) / len(chunks)
        await sink.store(batch, vectors, _EMBEDDING_AT + (_STORING_AT - _EMBEDDING_AT) * done)


def _with_headings(piece: Chunk) -> str:
    """A chunk under its headings: a paragraph on "limits" should be found by what it limits."""
    return "\n".join((*piece.headings[-2:], piece.text))
