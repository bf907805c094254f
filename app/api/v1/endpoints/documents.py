"""Documents: uploaded, followed while they are processed, read, deleted."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from app.api.access import DocumentsReader, DocumentsWriter
from app.api.deps import (
    ApplicationDep,
    DocumentFilterDep,
    DocumentsReading,
    DocumentsServiceDep,
    PageDep,
    WriteSessionDep,
)
from app.api.errors import Responses, errors
from app.api.progress import progress_stream
from app.api.sse import HEADERS
from app.api.uploads import receive_upload
from app.schemas.base import Deleted, PageOf, page_of
from app.schemas.document import ChunkRead, DocumentAccepted, DocumentRead, ReplayedRead
from app.services.documents import content_of
from app.services.intake import StoredUpload

router = APIRouter(prefix="/documents", tags=["documents"])
_PROGRESS: Responses = {
    200: {
        "description": "Server-sent events.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: document.ready\ndata: {"id": "doc_...", "status": "ready", "progress": 1.0}\n\n',
            }
        },
    }
}
_CONTENT: Responses = {
    200: {
        "description": "The file, in its own content type.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_UPLOAD_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "knowledge_base_id": {"type": "string"},
                        "metadata": {"type": "string", "description": "A JSON object.", "example": '{"year": 2026}'},
                    },
                },
                "example": {"file": "handbook.pdf", "metadata": '{"year": 2026}'},
            }
        },
    }
}


@router.post(
    "/upload",
    status_code=202,
    summary="Upload a document",
    responses=errors(404, 409, 413, 415),
    openapi_extra=_UPLOAD_FORM,
)
async def upload_document(caller: DocumentsWriter, app: ApplicationDep, request: Request) -> DocumentAccepted:
    """PDF, DOCX, HTML, Markdown, CSV or text in any encoding.

    Answers at once: the bytes are safe and the processing is recorded, so neither can be lost. Follow it at
    `/documents/{id}/events`.
    """
    intake = app.intake

    async def store(name: str, declared_type: str | None, data: AsyncIterator[bytes]) -> StoredUpload:
        return await intake.store(caller, name, declared_type, data)

    async def discard(upload: StoredUpload) -> None:
        await intake.discard(caller, upload)

    upload = await receive_upload(request, store, discard)
    return DocumentAccepted.model_validate(
        await intake.accept(
            caller,
            upload.file,
            knowledge_base_id=upload.fields.knowledge_base_id,
            metadata=upload.fields.metadata,
        )
    )


@router.get("", summary="List documents", responses=errors())
async def list_documents(
    _: DocumentsReader, documents: DocumentsReading, page: PageDep, wanted: DocumentFilterDep
) -> PageOf[DocumentRead]:
    """Newest first unless `order=asc`."""
    found = await documents.list(
        page, status=wanted.status, knowledge_base_id=wanted.knowledge_base_id, metadata=wanted.metadata
    )
    return page_of(DocumentRead, found)


@router.get("/failed", summary="List failed documents", responses=errors())
async def list_failed_documents(_: DocumentsReader, documents: DocumentsReading, page: PageDep) -> PageOf[DocumentRead]:
    """Those that were given up; `last_error` says why and what to do."""
    return page_of(DocumentRead, await documents.list(page, status="failed"))


@router.post("/failed/replay", status_code=202, summary="Process failed documents again", responses=errors(409))
async def replay_failed_documents(
    _: DocumentsWriter, documents: DocumentsServiceDep, session: WriteSessionDep
) -> ReplayedRead:
    """At most 100 at a time, oldest first."""
    return ReplayedRead(replayed=await documents.replay_failed(session))


@router.get("/{document_id}", summary="Get a document", responses=errors(404))
async def get_document(_: DocumentsReader, documents: DocumentsReading, document_id: str) -> DocumentRead:
    """With its status, stage, progress, attempts and last error."""
    return DocumentRead.model_validate(await documents.get(document_id))


@router.get(
    "/{document_id}/events",
    summary="Follow a document",
    response_class=StreamingResponse,
    responses=_PROGRESS | errors(404),
)
async def follow_document(caller: DocumentsReader, app: ApplicationDep, document_id: str) -> StreamingResponse:
    """Server-sent events with the document whenever it moves, until it is ready or failed."""
    events = await progress_stream(app, caller, document_id)
    return StreamingResponse(events, headers=HEADERS)


@router.get(
    "/{document_id}/content",
    summary="Download the original",
    response_class=StreamingResponse,
    responses=_CONTENT | errors(404),
)
async def get_content(
    caller: DocumentsReader, documents: DocumentsReading, app: ApplicationDep, document_id: str
) -> StreamingResponse:
    """The bytes that were uploaded, always as an attachment."""
    document = await documents.get(document_id)
    content = content_of(app.resources.files.for_tenant(caller), document.id)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(document.name, safe='')}",
        "Content-Length": str(document.bytes),
    }
    return StreamingResponse(content, media_type=document.content_type, headers=headers)


@router.get("/{document_id}/chunks", summary="List a document's chunks", responses=errors(404))
async def list_chunks(
    _: DocumentsReader,
    documents: DocumentsReading,
    document_id: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(description="Only chunks past this one.")] = None,
) -> PageOf[ChunkRead]:
    """In reading order: what is searched and cited."""
    return page_of(ChunkRead, await documents.chunks(document_id, limit=limit, after=after))


@router.post(
    "/{document_id}/reprocess", status_code=202, summary="Process a document again", responses=errors(404, 409)
)
async def reprocess_document(
    _: DocumentsWriter, documents: DocumentsServiceDep, session: WriteSessionDep, document_id: str
) -> DocumentAccepted:
    """What is visible of it stays so until the new version is, in one step."""
    return DocumentAccepted.model_validate(await documents.reprocess(session, document_id))


@router.delete("/{document_id}", summary="Delete a document", responses=errors(404))
async def delete_document(
    _: DocumentsWriter, documents: DocumentsServiceDep, session: WriteSessionDep, document_id: str
) -> Deleted:
    """It is gone from every answer when this returns."""
    return Deleted(id=(await documents.delete(session, document_id)).id, object="document")
