"""Metrics for Prometheus, behind a token: they tell of load, and that is nobody else's business."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.deps import ApplicationDep
from app.api.errors import Responses, errors
from app.core.security import is_same_secret
from app.services.auth import invalid_credentials

router = APIRouter(tags=["health"])

_TEXT: Responses = {
    200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


# rule: allow route-without-access because Prometheus has a token of its own, checked here
@router.get("/metrics", summary="Read metrics", response_class=Response, responses=_TEXT | errors())
async def get_metrics(app: ApplicationDep, request: Request) -> Response:
    """In Prometheus' text format; needs the metrics token or the platform admin key as bearer."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not _is_allowed(app, token.strip()):
        raise invalid_credentials()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _is_allowed(app: ApplicationDep, token: str) -> bool:
    settings, secrets = app.resources.settings, app.resources.secrets
    allowed = [secrets.platform_admin_key]
    if settings.metrics_token is not None:
        allowed.append(settings.metrics_token.get_secret_value())
    return any(is_same_secret(token, secret) for secret in allowed)
