"""The Qdrant engine in this process: opened once, created whole or not at all, and never called on an event loop."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    HnswIndexConfig,
    IntegerIndexParams,
    KeywordIndexParams,
    Modifier,
    UpdateOperation,
)

from app.adapters.vectors import layout
from app.adapters.vectors.errors import VectorStoreFailed, VectorStoreInUse

T = TypeVar("T")
#: In kilobytes of one tenant's vectors: up to it they are compared one by one, which is exact (20,000 in 1.6 ms).
#: Building a graph for 20,000 took 10 s, in which the engine held the interpreter; optimising without one 0.4 s.
_FULL_SCAN_THRESHOLD: Final = 200_000
#: Only the tenant has graphs: on other fields they would be built for each value, over all tenants.
_INDEXES: Final[dict[str, KeywordIndexParams | IntegerIndexParams]] = {
    layout.TENANT: KeywordIndexParams(is_tenant=True),
    layout.DOCUMENT: KeywordIndexParams(enable_hnsw=False),
    layout.KNOWLEDGE_BASE: KeywordIndexParams(enable_hnsw=False),
    layout.GENERATION: IntegerIndexParams(lookup=True, range=False, enable_hnsw=False),
}


class Engine:
    """A shard with its threads: one that writes, some that read. Calls may come from any event loop.

    The engine logs each update before it returns, so the death of the process loses nothing that was acknowledged;
    a machine that loses power may lose what came after the last flush.
    """

    def __init__(self, shard: EdgeShard, *, read_threads: int) -> None:
        self._shard = shard
        self._readers = ThreadPoolExecutor(read_threads, "insula-vectors-read")
        self._writer = ThreadPoolExecutor(1, "insula-vectors-write")
        self._last_used = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long ago the last call began."""
        return time.monotonic() - self._last_used

    async def read(self, call: Callable[[EdgeShard], T]) -> T:
        """What ``call`` gives, from a reading thread. Raises VectorStoreFailed where the engine fails."""
        self._last_used = time.monotonic()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._guarded, call)

    async def write(self, call: Callable[[EdgeShard], T]) -> T:
        """What ``call`` gives, from the one writing thread: no other write happens meanwhile."""
        self._last_used = time.monotonic()
        return await self.upkeep(call)

    async def upkeep(self, call: Callable[[EdgeShard], T]) -> T:
        """As ``write``, for work that nobody waits for: it does not count as use."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._guarded, call)

    async def close(self) -> None:
        """Finish the calls that were made, flush, and let go of the files."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._readers.shutdown()
        self._writer.shutdown()
        self._shard.flush()
        self._shard.close()

    def _guarded(self, call: Callable[[EdgeShard], T]) -> T:
        try:
            return call(self._shard)
        except Exception as error:
            if type(error) is Exception:  # the engine has no error type of its own
                raise VectorStoreFailed("the vector engine refused an operation") from error
            raise


def open_shard(directory: Path, name: str, dimension: int) -> EdgeShard:
    """Load or create the shard ``name`` in a directory. Blocks for some milliseconds, more after an unclean end.

    Raises VectorStoreInUse where another process has it, VectorStoreFailed where it is damaged or of another dimension.
    """
    path = directory / name
    if not path.exists():
        _create(path, dimension)
    try:
        shard = EdgeShard.load(str(path), _config(dimension))
    except Exception as error:
        if "WouldBlock" in str(error):
            raise VectorStoreInUse(
                f"another process has the vector store {path} open: stop it, or let one process run API and worker"
            ) from error
        raise VectorStoreFailed(f"the vector store {path} cannot be opened: {error}") from error
    _remove_unfinished(path)
    return shard


def _create(path: Path, dimension: int) -> None:
    """Create the shard under another name and rename it when it is whole, so that no half of one is ever loaded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=_unfinished_prefix(path), dir=path.parent))
    try:
        shard = EdgeShard.create(str(unfinished), _config(dimension))
        for field, schema in _INDEXES.items():
            shard.update(UpdateOperation.create_field_index(field, schema))
        shard.close()
        unfinished.rename(path)
    except Exception as error:  # rule: allow broad-except because the engine has no error type of its own
        if not path.exists():  # where it does, another process was faster, and loading will say so
            raise VectorStoreFailed(f"the vector store {path} cannot be created: {error}") from error


def _unfinished_prefix(path: Path) -> str:
    return f".{path.name}."


def _remove_unfinished(path: Path) -> None:
    """Remove what creations that were killed left behind; whoever holds the shard may do so."""
    for leftover in path.parent.glob(f"{_unfinished_prefix(path)}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _config(dimension: int) -> EdgeConfig:
    return EdgeConfig(
        vectors={layout.DENSE: EdgeVectorParams(size=dimension, distance=Distance.Cosine)},
        sparse_vectors={layout.SPARSE: EdgeSparseVectorParams(modifier=Modifier.Idf)},
        hnsw_config=HnswIndexConfig(
            m=layout.HNSW_M,
            payload_m=layout.HNSW_PAYLOAD_M,
            ef_construct=layout.HNSW_EF_CONSTRUCT,
            full_scan_threshold=_FULL_SCAN_THRESHOLD,
        ),
    )
