"""Every operation of the service, once: who may call it and with what; a route without a row here fails the tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from fastapi import FastAPI

from app.core.ids import new_id

Access = Literal[
    "public", "tenant", "chat", "documents:read", "documents:write", "agents:write", "admin", "platform", "metrics"
]


@dataclass(frozen=True)
class Operation:
    """One method of one path. ``body`` is a valid one, and ``files`` a valid form."""

    access: Access
    body: dict[str, Any] | None = None
    files: dict[str, tuple[str, bytes]] | None = None


V1: Final = "/api/v1"
OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/health"): Operation("public"),
    ("GET", "/health/live"): Operation("public"),
    ("GET", "/health/ready"): Operation("public"),
    ("GET", "/metrics"): Operation("metrics"),
    ("GET", f"{V1}/health"): Operation("public"),
    ("POST", f"{V1}/chat"): Operation("chat", {"message": "What is it?"}),
    ("POST", f"{V1}/chat/stream"): Operation("chat", {"message": "What is it?"}),
    ("POST", f"{V1}/documents/upload"): Operation("documents:write", files={"file": ("note.txt", b"A note.")}),
    ("GET", f"{V1}/documents"): Operation("documents:read"),
    ("GET", f"{V1}/documents/failed"): Operation("documents:read"),
    ("POST", f"{V1}/documents/failed/replay"): Operation("documents:write"),
    ("GET", f"{V1}/documents/{{document_id}}"): Operation("documents:read"),
    ("DELETE", f"{V1}/documents/{{document_id}}"): Operation("documents:write"),
    ("GET", f"{V1}/documents/{{document_id}}/events"): Operation("documents:read"),
    ("GET", f"{V1}/documents/{{document_id}}/content"): Operation("documents:read"),
    ("GET", f"{V1}/documents/{{document_id}}/chunks"): Operation("documents:read"),
    ("POST", f"{V1}/documents/{{document_id}}/reprocess"): Operation("documents:write"),
    ("POST", f"{V1}/knowledge/search"): Operation("documents:read", {"query": "note"}),
    ("POST", f"{V1}/knowledge"): Operation("documents:write", {"name": "Base"}),
    ("GET", f"{V1}/knowledge"): Operation("documents:read"),
    ("GET", f"{V1}/knowledge/{{knowledge_base_id}}"): Operation("documents:read"),
    ("PATCH", f"{V1}/knowledge/{{knowledge_base_id}}"): Operation("documents:write", {"name": "Base"}),
    ("DELETE", f"{V1}/knowledge/{{knowledge_base_id}}"): Operation("documents:write"),
    ("POST", f"{V1}/agents"): Operation("agents:write", {"name": "Agent"}),
    ("GET", f"{V1}/agents"): Operation("tenant"),
    ("GET", f"{V1}/agents/{{agent_id}}"): Operation("tenant"),
    ("PATCH", f"{V1}/agents/{{agent_id}}"): Operation("agents:write", {"name": "Agent"}),
    ("DELETE", f"{V1}/agents/{{agent_id}}"): Operation("agents:write"),
    ("POST", f"{V1}/conversations"): Operation("chat", {"title": "Talk"}),
    ("GET", f"{V1}/conversations"): Operation("chat"),
    ("GET", f"{V1}/conversations/{{conversation_id}}"): Operation("chat"),
    ("PATCH", f"{V1}/conversations/{{conversation_id}}"): Operation("chat", {"title": "Talk"}),
    ("DELETE", f"{V1}/conversations/{{conversation_id}}"): Operation("chat"),
    ("GET", f"{V1}/conversations/{{conversation_id}}/messages"): Operation("chat"),
    ("GET", f"{V1}/runs"): Operation("chat"),
    ("GET", f"{V1}/runs/{{run_id}}"): Operation("chat"),
    ("GET", f"{V1}/runs/{{run_id}}/stream"): Operation("chat"),
    ("POST", f"{V1}/runs/{{run_id}}/cancel"): Operation("chat"),
    ("POST", f"{V1}/api-keys"): Operation("admin", {"name": "key", "role": "viewer", "scopes": []}),
    ("GET", f"{V1}/api-keys"): Operation("admin"),
    ("GET", f"{V1}/api-keys/{{key_id}}"): Operation("admin"),
    ("DELETE", f"{V1}/api-keys/{{key_id}}"): Operation("admin"),
    ("GET", f"{V1}/tenant"): Operation("tenant"),
    ("PATCH", f"{V1}/tenant"): Operation("admin", {"name": "Tenant"}),
    ("GET", f"{V1}/usage"): Operation("admin"),
    ("POST", f"{V1}/tenants"): Operation("platform", {"name": "Tenant", "slug": "a-table-of-operations"}),
    ("GET", f"{V1}/tenants"): Operation("platform"),
    ("GET", f"{V1}/tenants/{{tenant_id}}"): Operation("platform"),
    ("POST", f"{V1}/tenants/{{tenant_id}}/suspend"): Operation("platform"),
    ("POST", f"{V1}/tenants/{{tenant_id}}/resume"): Operation("platform"),
    ("POST", f"{V1}/tenants/{{tenant_id}}/api-keys"): Operation("platform", {"name": "key"}),
}

#: What kind of id a path parameter takes.
PATH_PREFIXES: Final = {
    "agent_id": "agt",
    "conversation_id": "conv",
    "document_id": "doc",
    "key_id": "key",
    "knowledge_base_id": "kb",
    "run_id": "run",
    "tenant_id": "tnt",
}


def served(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation that the application documents."""
    for path, methods in app.openapi()["paths"].items():
        for method, described in methods.items():
            yield method.upper(), path, described


def parameters_in(described: dict[str, Any], place: str) -> list[str]:
    """The names of an operation's parameters in the path, query or header."""
    return [each["name"] for each in described.get("parameters", []) if each["in"] == place]


def path_of_nothing(path: str) -> str:
    """The path with ids that never were."""
    for name, prefix in PATH_PREFIXES.items():
        path = path.replace(f"{{{name}}}", new_id(prefix))  # type: ignore[arg-type]
    return path
