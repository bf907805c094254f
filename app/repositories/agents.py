"""Queries on agents."""

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import selectinload

from app.models.agent import Agent, AgentKnowledgeBase
from app.repositories.base import TenantRepository, not_found

_NAMED = 5


class AgentsRepository(TenantRepository[Agent]):
    """The agents of one tenant, always with their knowledge bases."""

    model = Agent
    noun = "agent"

    def scoped(self) -> Select[Agent]:
        """The agents of the tenant, with their knowledge bases."""
        return super().scoped().options(selectinload(Agent.knowledge_bases))

    async def find(self, identifier: str) -> Agent | None:
        """The agent with this id or slug, or None."""
        column = Agent.id if identifier.startswith("agt_") else Agent.slug
        return await self.session.scalar(self.scoped().where(column == identifier))

    async def get(self, identifier: str) -> Agent:
        """The agent with this id or slug; raises NotFound."""
        agent = await self.find(identifier)
        if agent is None:
            raise not_found(self.noun)
        return agent

    async def confined_to(self, knowledge_base_id: str) -> Sequence[Agent]:
        """The first few agents that may answer from this knowledge base and no other."""
        link = AgentKnowledgeBase
        own = select(link.agent_id).where(link.tenant_id == self.tenant_id)
        statement = self.scoped().where(
            Agent.id.in_(own.where(link.knowledge_base_id == knowledge_base_id)),
            Agent.id.not_in(own.where(link.knowledge_base_id != knowledge_base_id)),
        )
        return (await self.session.scalars(statement.order_by(Agent.id).limit(_NAMED))).all()
