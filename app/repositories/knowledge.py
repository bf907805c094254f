"""Queries on knowledge bases."""

from collections.abc import Sequence

from app.models.knowledge import KnowledgeBase
from app.repositories.base import TenantRepository


class KnowledgeRepository(TenantRepository[KnowledgeBase]):
    """The knowledge bases of one tenant."""

    model = KnowledgeBase
    noun = "knowledge base"

    async def default(self) -> KnowledgeBase | None:
        """The base that documents go to where none is named."""
        return await self.session.scalar(self.scoped().where(KnowledgeBase.is_default).limit(1))

    async def list_by_ids(self, identifiers: Sequence[str]) -> list[KnowledgeBase]:
        """Those of the ids that exist, in no order."""
        return list(await self.session.scalars(self.scoped().where(KnowledgeBase.id.in_(identifiers))))
