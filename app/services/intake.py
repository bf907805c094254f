"""Intake: a file's bytes are made safe and recognised, then the document and its job are recorded together."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from app.adapters.parsing import sniff
from app.adapters.storage.base import FileStorage, StoredObject
from app.core.database import Database, after_commit
from app.core.errors import AppError
from app.core.ids import is_id, new_id
from app.core.tenancy import TenantContext
from app.models.document import Document
from app.repositories.documents import DocumentsRepository
from app.repositories.tenants import TenantsRepository
from app.services.dispatch import Dispatcher
from app.services.document_jobs import original_of
from app.services.documents import AcceptedFile, DocumentsService

log = structlog.get_logger()

_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """A file that lies in storage and is of a type that we parse, but that no row names yet."""

    document_id: str
    name: str
    content_type: str
    stored: StoredObject


class DocumentIntake:
    """The way in for documents. Whatever is refused on the way leaves nothing behind."""

    def __init__(self, database: Database, files: FileStorage, dispatcher: Dispatcher, *, max_bytes: int) -> None:
        self._database = database
        self._files = files
        self._dispatcher = dispatcher
        self._max_bytes = max_bytes

    async def store(
        self, context: TenantContext, name: str, declared_type: str | None, data: AsyncIterator[bytes]
    ) -> StoredUpload:
        """Write the bytes to storage and recognise them; raises AppError for what we do not take."""
        document_id = new_id("doc")
        files = self._files.for_tenant(context)
        stored = await files.put(original_of(document_id), data, max_bytes=self._max_bytes)
        try:
            async with files.local_copy(stored.key) as path:
                content_type = await asyncio.to_thread(_recognise, path, name, declared_type)
        except BaseException:
            await files.delete(document_id)
            raise
        return StoredUpload(document_id, name, content_type, stored)

    async def accept(
        self,
        context: TenantContext,
        upload: StoredUpload,
        *,
        knowledge_base_id: str | None,
        metadata: Mapping[str, Any],
    ) -> Document:
        """Record the document and its processing; raises NotFound for a foreign knowledge base."""
        accepted = AcceptedFile(
            upload.document_id, upload.name, upload.content_type, upload.stored, knowledge_base_id, metadata
        )
        try:
            async with self._database.write(context.tenant_id) as session:
                after_commit(session, self._dispatcher.poke)
                return await DocumentsService(session, context).accept(session, accepted)
        except AppError:
            await self.discard(context, upload)
            raise

    async def discard(self, context: TenantContext, upload: StoredUpload) -> None:
        """Remove an upload that will not be accepted after all."""
        await self._files.for_tenant(context).delete(upload.document_id)


def _recognise(path: Path, name: str, declared_type: str | None) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return sniff(head, path, name, declared_type)


async def sweep_unrecorded(database: Database, files: FileStorage) -> int:
    """Remove the uploads of processes that died before they recorded them; how many whole files that were.

    Right only at the start of the one process that writes. Files of a tenant that the database does not know are left
    alone: then it is more likely that the database is the wrong one.
    """
    await asyncio.to_thread(files.sweep)
    removed = 0
    for tenant_id, document_ids in (await asyncio.to_thread(files.list_all)).items():
        context = TenantContext.for_job(tenant_id, "sweep")
        for document_id in await _unrecorded(database, context, document_ids):
            await files.for_tenant(context).delete(document_id)
            removed += 1
    if removed:
        log.warning("unrecorded_uploads_removed", count=removed)
    return removed


async def _unrecorded(database: Database, context: TenantContext, document_ids: Sequence[str]) -> list[str]:
    async with database.read(context.tenant_id) as session:
        if await TenantsRepository(session).find(context.tenant_id) is None:
            return []
        recorded = await DocumentsRepository(session, context).recorded(document_ids)
    return [document_id for document_id in document_ids if is_id(document_id) and document_id not in recorded]
