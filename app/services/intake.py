"""Intake: a file's bytes are made safe and recognised, then the document and its job are recorded together."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.adapters.parsing import sniff
from app.adapters.storage.base import FileStorage, StoredObject
from app.core.database import Database, after_commit
from app.core.errors import AppError
from app.core.ids import new_id
from app.core.tenancy import TenantContext
from app.models.document import Document
from app.services.dispatch import Dispatcher
from app.services.document_jobs import original_of
from app.services.documents import AcceptedFile, DocumentsService

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
                with path.open("rb") as file:
                    head = file.read(_HEAD_BYTES)
                content_type = sniff(head, path, name, declared_type)
        except AppError:
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
