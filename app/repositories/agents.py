"""Queries on agents."""

from sqlalchemy import Select
from sqlalchemy.orm import selectinload

from app.models.agent import Agent
from app.repositories.base import TenantRepository, not_found


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
