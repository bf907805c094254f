"""How middleware answers by itself: with the same error body as everything else."""

from starlette.types import Scope, Send

from app.core.errors import AppError
from app.schemas.error import error_headers, render_error


async def send_error(scope: Scope, send: Send, error: AppError) -> None:
    """Answer a request with a refusal."""
    body = render_error(error, scope["state"]["request_id"]).model_dump_json().encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error_headers(error)}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
