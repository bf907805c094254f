"""Usage: recorded once for each thing that is billed, reported in sums."""

from datetime import datetime

from app.core.database import ReadSession, WriteSession
from app.core.ids import new_id
from app.core.tenancy import TenantContext
from app.models.usage import UsageEvent
from app.repositories.usage import UsageRepository
from app.schemas.usage import UsageRow


class UsageService:
    """The usage of one tenant."""

    def __init__(self, session: ReadSession | WriteSession, context: TenantContext) -> None:
        self._context = context
        self._usage = UsageRepository(session, context)

    def record(self, kind: str, subject_id: str, *, model: str, input_tokens: int, output_tokens: int = 0) -> None:
        """Record tokens in the caller's transaction; the database refuses a second record of the same subject."""
        self._usage.add(
            UsageEvent(
                tenant_id=self._context.tenant_id,
                id=new_id("evt"),
                kind=kind,
                subject_id=subject_id,
                model=model,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
            )
        )

    async def report(self, since: datetime, until: datetime) -> list[UsageRow]:
        """Sums over ``[since, until)`` by kind and model."""
        rows = await self._usage.totals(since, until)
        return [
            UsageRow(kind=kind, model=model, events=events, input_tokens=inputs, output_tokens=outputs)
            for kind, model, events, inputs, outputs in rows
        ]
