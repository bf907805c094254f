"""Queries on documents and their chunks; what is being deleted is invisible to all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, insert, select

from app.core.pagination import Page, PageRequest
from app.models.document import Chunk, Document, DocumentStatus
from app.repositories.base import TenantRepository, rows_changed

_CHUNKS_PER_STATEMENT = 100
_IDS_PER_STATEMENT = 500


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """A chunk with what a citation says of its document."""

    id: str
    document_id: str
    title: str
    text: str
    start: int
    end: int
    page: int | None
    headings: tuple[str, ...]
    ordinal: int


class DocumentsRepository(TenantRepository[Document]):
    """The documents of one tenant."""

    model = Document
    noun = "document"

    def scoped(self) -> Select[Document]:
        """Documents that have not been deleted."""
        return super().scoped().where(Document.status != DocumentStatus.DELETING)

    async def list(
        self,
        request: PageRequest,
        *,
        status: str | None,
        knowledge_base_id: str | None,
        metadata: Mapping[str, str | int | float | bool],
    ) -> Page[Document]:
        """One page of the documents that have this status, base and metadata."""
        conditions = [_metadata_is(key, value) for key, value in metadata.items()]
        if status is not None:
            conditions.append(Document.status == status)
        if knowledge_base_id is not None:
            conditions.append(Document.knowledge_base_id == knowledge_base_id)
        return await self.page(request, *conditions)

    async def find_even_if_deleting(self, identifier: str) -> Document | None:
        """The document, also where only its purge is left to do."""
        return await self.session.scalar(super().scoped().where(Document.id == identifier))

    async def ids_of_base(self, knowledge_base_id: str) -> Sequence[str]:
        """The ids of a base's documents."""
        statement = self.scoped().with_only_columns(Document.id)
        return (await self.session.scalars(statement.where(Document.knowledge_base_id == knowledge_base_id))).all()

    async def recorded(self, identifiers: Sequence[str]) -> set[str]:
        """Those of the ids that are documents, also where only their purge is left to do."""
        found: set[str] = set()
        for start in range(0, len(identifiers), _IDS_PER_STATEMENT):
            some = identifiers[start : start + _IDS_PER_STATEMENT]
            found.update(
                await self.session.scalars(super().scoped().with_only_columns(Document.id).where(Document.id.in_(some)))
            )
        return found

    async def set(self, identifier: str, **values: Any) -> bool:
        """Change columns of a document that has not been deleted; whether there was one."""
        statement = self.scoped_update(Document.id == identifier, Document.status != DocumentStatus.DELETING)
        return rows_changed(await self.session.execute(statement.values(**values))) == 1


class ChunksRepository(TenantRepository[Chunk]):
    """The chunks of one tenant; readers see the visible generation only."""

    model = Chunk
    noun = "chunk"

    def visible(self) -> Select[Chunk]:
        """Chunks of the version of each document that answers may use."""
        return (
            self.scoped()
            .join(Document, (Document.tenant_id == Chunk.tenant_id) & (Document.id == Chunk.document_id))
            .where(Document.generation == Chunk.generation, Document.status != DocumentStatus.DELETING)
        )

    async def page_of(self, document_id: str, *, limit: int, after_ordinal: int) -> Page[Chunk]:
        """The visible chunks of a document, in reading order."""
        statement = self.visible().where(Chunk.document_id == document_id, Chunk.ordinal > after_ordinal)
        rows = (await self.session.scalars(statement.order_by(Chunk.ordinal).limit(limit + 1))).all()
        return Page(list(rows[:limit]), has_more=len(rows) > limit)

    async def ordinal_of(self, document_id: str, chunk_id: str) -> int | None:
        """Where a visible chunk stands in its document."""
        statement = self.visible().with_only_columns(Chunk.ordinal)
        return await self.session.scalar(statement.where(Chunk.document_id == document_id, Chunk.id == chunk_id))

    async def read(self, identifiers: Sequence[str]) -> dict[str, ChunkRead]:
        """The visible ones among the ids, with their documents' titles, in one statement."""
        statement = self.visible().with_only_columns(
            Chunk.id,
            Chunk.document_id,
            func.coalesce(Document.title, Document.name),
            Chunk.text,
            Chunk.start,
            Chunk.end,
            Chunk.page,
            Chunk.headings,
            Chunk.ordinal,
        )
        rows = await self.session.execute(statement.where(Chunk.id.in_(identifiers)))
        return {row[0]: ChunkRead(*row[:7], tuple(row[7]), row[8]) for row in rows}

    async def ids_of(self, document_id: str, generation: int) -> Sequence[str]:
        """The ids of one version's chunks, in reading order."""
        statement = self.scoped().with_only_columns(Chunk.id).order_by(Chunk.ordinal)
        return (
            await self.session.scalars(
                statement.where(Chunk.document_id == document_id, Chunk.generation == generation)
            )
        ).all()

    async def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert chunks; the caller removed those of the same version before."""
        for start in range(0, len(rows), _CHUNKS_PER_STATEMENT):
            await self.session.execute(insert(Chunk), list(rows[start : start + _CHUNKS_PER_STATEMENT]))

    async def remove_generation(self, document_id: str, generation: int) -> None:
        """Delete one version's chunks."""
        await self.session.execute(self.scoped_delete(Chunk.document_id == document_id, Chunk.generation == generation))

    async def remove_other_generations(self, document_id: str, generation: int) -> None:
        """Delete all but one version's chunks."""
        await self.session.execute(self.scoped_delete(Chunk.document_id == document_id, Chunk.generation != generation))

    async def count(self, document_id: str) -> int:
        """How many chunks a document has, of all versions."""
        statement = select(func.count()).select_from(Chunk)
        total = await self.session.scalar(
            statement.where(Chunk.tenant_id == self.tenant_id, Chunk.document_id == document_id)
        )
        return total or 0


def _metadata_is(key: str, value: str | float) -> ColumnElement[bool]:
    """That a key has this value and no other that merely looks like it: JSON knows 1, "1" and true apart."""
    kind, item = func.json_type(Document.meta, f'$."{key}"'), Document.meta[key]
    is_equal: ColumnElement[bool]
    if isinstance(value, bool):
        is_equal = kind == ("true" if value else "false")
    elif isinstance(value, str):
        is_equal = (kind == "text") & (item.as_string() == value)
    else:
        is_equal = kind.in_(("integer", "real")) & (item.as_float() == value)
    return is_equal
