"""Agents: kept by a tenant, looked up by a chat."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.core.cache import MomentaryCache
from app.core.database import Database, ReadSession, WriteSession
from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.pagination import Page, PageRequest
from app.core.tenancy import TenantContext
from app.models.agent import Agent
from app.models.knowledge import KnowledgeBase
from app.repositories.agents import AgentsRepository
from app.repositories.base import not_found
from app.repositories.knowledge import KnowledgeRepository
from app.schemas.agent import AgentCreate, AgentUpdate, RetrievalSettings

_REMEMBERED = 10_000

Bases = list[KnowledgeBase]


class AgentsService:
    """The agents of one tenant."""

    def __init__(self, session: ReadSession | WriteSession, context: TenantContext) -> None:
        self._session = session
        self._context = context
        self._agents = AgentsRepository(session, context)

    async def list(self, page: PageRequest) -> Page[Agent]:
        """One page of the agents."""
        return await self._agents.page(page)

    async def get(self, agent_id: str) -> Agent:
        """An agent by id or slug; raises NotFound."""
        return await self._agents.get(agent_id)

    async def create(self, wanted: AgentCreate) -> Agent:
        """A new agent; raises NotFound for a foreign knowledge base, Conflict for a slug in use."""
        slug = wanted.slug or await self._free_slug(wanted.name)
        await self._refuse_taken(slug)
        agent = Agent(
            tenant_id=self._context.tenant_id,
            id=new_id("agt"),
            slug=slug,
            meta=wanted.metadata,
            retrieval=wanted.retrieval.model_dump(),
            knowledge_bases=await self._bases(wanted.knowledge_base_ids),
            **wanted.model_dump(exclude={"slug", "metadata", "retrieval", "knowledge_base_ids"}),
        )
        self._agents.add(agent)
        await self._session.flush()
        return agent

    async def update(self, agent_id: str, changes: AgentUpdate) -> Agent:
        """Change what was sent; raises like ``create``."""
        agent = await self._agents.get(agent_id)
        values: dict[str, Any] = changes.model_dump(exclude_unset=True)
        if "slug" in values and values["slug"] != agent.slug:
            await self._refuse_taken(values["slug"])
        if "knowledge_base_ids" in values:
            agent.knowledge_bases = await self._bases(values.pop("knowledge_base_ids"))
        if "metadata" in values:
            agent.meta = values.pop("metadata")
        for name, value in values.items():
            setattr(agent, name, value)
        await self._session.flush()
        return agent

    async def delete(self, agent_id: str) -> Agent:
        """Remove an agent; its conversations stay. Raises NotFound."""
        agent = await self._agents.get(agent_id)
        await self._agents.remove(agent)
        return agent

    async def _bases(self, identifiers: Iterable[str]) -> Bases:
        wanted = set(identifiers)
        found = await KnowledgeRepository(self._session, self._context).list_by_ids(sorted(wanted))
        if len(found) < len(wanted):
            raise not_found(KnowledgeRepository.noun)
        return found

    async def _refuse_taken(self, slug: str) -> None:
        if await self._agents.find(slug):
            raise Conflict(
                f"Another agent has the slug `{slug}`. Choose another, or change that agent.",
                code="slug_taken",
                param="slug",
            )

    async def _free_slug(self, name: str) -> str:
        slug = slug_of(name)
        return slug if not await self._agents.find(slug) else f"{slug[:50]}-{new_id('agt')[-8:]}"


def slug_of(name: str) -> str:
    """A slug made from a name: its letters and digits in ASCII, joined by hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "agent"


@dataclass(frozen=True, slots=True)
class AgentSnapshot:
    """An agent as a chat sees it."""

    id: str
    model: str | None
    system_prompt: str | None
    temperature: float | None
    max_tokens: int
    knowledge_base_ids: tuple[str, ...]
    retrieval: RetrievalSettings
    fallback_models: tuple[str, ...]


class AgentDirectory:
    """Agents by tenant and id or slug, remembered for a moment so that a warm chat asks the database nothing."""

    def __init__(self, database: Database, *, cache_seconds: float) -> None:
        self._database = database
        self._agents: MomentaryCache[tuple[str, str], AgentSnapshot] = MomentaryCache(_REMEMBERED, cache_seconds)

    async def get(self, context: TenantContext, agent_id: str) -> AgentSnapshot:
        """The agent; raises NotFound."""
        return await self._agents.get((context.tenant_id, agent_id), lambda: self._load(context, agent_id))

    async def _load(self, context: TenantContext, agent_id: str) -> AgentSnapshot:
        async with self._database.read(context.tenant_id) as session:
            return _snapshot(await AgentsRepository(session, context).get(agent_id))

    def forget(self) -> None:
        """Look everything up again: an agent has changed."""
        self._agents.clear()


def _snapshot(agent: Agent) -> AgentSnapshot:
    return AgentSnapshot(
        id=agent.id,
        model=agent.model,
        system_prompt=agent.system_prompt,
        temperature=agent.temperature,
        max_tokens=agent.max_tokens,
        knowledge_base_ids=tuple(base.id for base in agent.knowledge_bases),
        retrieval=RetrievalSettings.model_validate(agent.retrieval),
        fallback_models=tuple(agent.fallback_models),
    )
