"""Tenants that have one of everything, and a look at all their rows and files past every wall of the product."""

import hashlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fixtures.service import Service, TenantClient

SECRET = "Zanzibar"
TEXT = f"The password of the vault is {SECRET}. The vault was built in 1911. Its door weighs nine tons."


@dataclass(frozen=True)
class Household:
    """A tenant with one of everything; ``ids`` are by prefix, and the agent's slug is among them."""

    tenant: TenantClient
    ids: dict[str, str]

    @property
    def context_ids(self) -> dict[str, str]:
        """The same with the tenant's own names."""
        return {**self.ids, "tnt": self.tenant.id, "tenant slug": self.tenant.slug}


def settle(service: Service, text: str = TEXT) -> Household:
    """A tenant that has used everything once and is at rest."""
    tenant = service.make_tenant(name="Household")
    base = tenant.http.post("knowledge", json={"name": "Papers"}).json()
    document = tenant.ready("vault.md", text.encode(), knowledge_base_id=base["id"], metadata='{"year": 1911}')
    chunk = tenant.http.get(f"documents/{document['id']}/chunks").json()["data"][0]
    agent = tenant.http.post(
        "agents", json={"name": "Keeper", "slug": f"keeper-{tenant.slug}", "knowledge_base_ids": [base["id"]]}
    ).json()
    answer = tenant.http.post("chat", json={"message": "What weighs nine tons?", "agent_id": agent["id"]}).json()
    key = tenant.http.post("api-keys", json={"name": "spare", "role": "viewer"}).json()
    return Household(
        tenant,
        {
            "kb": base["id"],
            "doc": document["id"],
            "chk": chunk["id"],
            "agt": agent["id"],
            "agent slug": agent["slug"],
            "conv": answer["conversation_id"],
            "run": answer["run_id"],
            "msg": answer["message_id"],
            "key": key["id"],
        },
    )


def rows_of(data_dir: Path, tenant_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a tenant in every table, read past the product."""
    with sqlite3.connect(f"file:{data_dir / 'insula.db'}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            column = "tenant_id" if "tenant_id" in columns else "id" if table == "tenants" else None
            if column:
                rows = connection.execute(f"SELECT * FROM {table} WHERE {column} = ?", (tenant_id,))
                found[table] = sorted(rows.fetchall(), key=repr)
    return found


def files_of(data_dir: Path, tenant_id: str) -> dict[str, str]:
    """Every file of a tenant, by path below its folder, with its SHA-256."""
    folder = data_dir / "files" / tenant_id
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
