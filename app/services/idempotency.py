"""Idempotent requests: a key is claimed before the work, and its answer is kept in the transaction of the effect."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
import structlog

from app.core.clock import utc_now
from app.core.database import SYSTEM, Database, JointTransaction
from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.security import keyed_digest, seal, unseal
from app.core.tenancy import TenantContext
from app.models.idempotency import IdempotencyRecord
from app.repositories.idempotency import IdempotencyLeases, IdempotencyRepository
from app.services.auth import Principal

log = structlog.get_logger()

#: Where the operator's own requests are kept: the name of no tenant.
PLATFORM = "platform"
REMEMBERED = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with; where ``replay_path`` is set, a GET of it gives the body again."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    replay_path: str | None = None


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key of one caller: keys of other tenants, subjects and roles are other keys."""

    context: TenantContext
    digest: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry the request out; it is kept alive until it is completed or released."""

    use: KeyUse
    record_id: str
    joint: JointTransaction


@dataclass(frozen=True, slots=True)
class Kept:
    """An earlier request under the key, which has been answered."""

    use: KeyUse
    record_id: str
    request_digest: bytes
    answer: Answer


class IdempotencyService:
    """The keys in use. Keys, requests and answers are stored only in a form that the master secret is needed to read."""

    def __init__(
        self, database: Database, secret: bytes, *, lease_seconds: float, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._database = database
        self._secret = secret
        self._lease = timedelta(seconds=lease_seconds)
        self._now = now
        self._under_way: set[str] = set()

    def use_of(self, principal: Principal, request_id: str, key: bytes) -> KeyUse:
        """The caller's use of a key."""
        tenant_id = principal.tenant.id if principal.tenant else PLATFORM
        context = TenantContext(tenant_id, principal.subject, principal.role, principal.scopes, request_id)
        parts = (tenant_id.encode(), principal.subject.encode(), principal.role.encode(), key)
        return KeyUse(
            context, keyed_digest(self._secret, b"key", *parts), keyed_digest(self._secret, b"answer", *parts)
        )

    async def begin(self, use: KeyUse, request: bytes | None) -> Claim | Kept:
        """Claim a key, or find what it was used for; ``request`` is the request's digest, where that is known already.

        Raises Conflict where the key stands for another request, or for one that is still under way.
        """
        async with self._database.read(use.context.tenant_id) as session:
            found = self._valid(await IdempotencyRepository(session, use.context).find_by_key(use.digest))
        return await self._claim(use, request) if found is None else self._kept(use, found, request)

    async def begin_anew(self, kept: Kept, request: bytes | None) -> Claim | Kept:
        """Claim a key whose answer cannot be given again; another may have been quicker."""
        async with self._database.write(kept.use.context.tenant_id) as session:
            await IdempotencyRepository(session, kept.use.context).forget(kept.record_id)
        return await self._claim(kept.use, request)

    def check(self, kept: Kept, request: bytes) -> None:
        """Raise Conflict where the key was used for another request."""
        if self._stored(kept.use, request) != kept.request_digest:
            raise _reused()

    async def complete(self, claim: Claim, request: bytes, answer: Answer) -> None:
        """Keep the answer and commit the effect, both or neither; raises Conflict where the key was taken over."""
        sealed = seal(claim.use.secret, _packed(answer))
        async with claim.joint.part() as session:
            is_held = await IdempotencyRepository(session, claim.use.context).complete(
                claim.record_id, request_digest=self._stored(claim.use, request), answer=sealed
            )
            if not is_held:
                raise _in_progress()
        await claim.joint.commit()
        self._under_way.discard(claim.record_id)

    async def release(self, claim: Claim) -> None:
        """Undo what the request did and free its key."""
        await claim.joint.abort()
        self._under_way.discard(claim.record_id)
        async with self._database.transaction(claim.use.context.tenant_id) as session:
            await IdempotencyRepository(session, claim.use.context).forget(claim.record_id)

    async def extend(self) -> None:
        """Keep the claims of this process, all in one statement."""
        if self._under_way:
            async with self._database.write(SYSTEM) as session:
                await IdempotencyLeases(session).extend(sorted(self._under_way), self._now() + self._lease)

    async def forget_old(self) -> int:
        """Forget answers that are older than the promise to keep them; how many that were."""
        async with self._database.write(SYSTEM) as session:
            return await IdempotencyLeases(session).forget_before(self._now() - REMEMBERED)

    async def release_all(self) -> int:
        """Free the keys that a dead process held: right only where this process is the only one."""
        async with self._database.write(SYSTEM) as session:
            return await IdempotencyLeases(session).release_all()

    async def _claim(self, use: KeyUse, request: bytes | None) -> Claim | Kept:
        record_id = new_id("idm")
        async with self._database.write(use.context.tenant_id) as session:
            records = IdempotencyRepository(session, use.context)
            found = await records.find_by_key(use.digest)
            if self._valid(found) is not None:
                assert found is not None
                return self._kept(use, found, request)
            if found is not None:
                await records.forget(found.id)
            records.add(
                IdempotencyRecord(
                    tenant_id=use.context.tenant_id,
                    id=record_id,
                    key_digest=use.digest,
                    request_digest=None if request is None else self._stored(use, request),
                    answer=None,
                    lease_until=self._now() + self._lease,
                    created_at=self._now(),
                )
            )
        self._under_way.add(record_id)
        return Claim(use, record_id, JointTransaction(self._database, use.context.tenant_id))

    def _valid(self, record: IdempotencyRecord | None) -> IdempotencyRecord | None:
        """The record, unless it is too old or its process has died over it."""
        now = self._now()
        if record is None or record.created_at < now - REMEMBERED:
            return None
        return None if record.answer is None and record.lease_until < now else record

    def _kept(self, use: KeyUse, record: IdempotencyRecord, request: bytes | None) -> Kept:
        if request is not None and record.request_digest not in (None, self._stored(use, request)):
            raise _reused()
        if record.answer is None or record.request_digest is None:
            raise _in_progress()
        return Kept(use, record.id, record.request_digest, _unpacked(unseal(use.secret, record.answer)))

    def _stored(self, use: KeyUse, request: bytes) -> bytes:
        return keyed_digest(use.secret, b"request", request)


def _packed(answer: Answer) -> bytes:
    head = orjson.dumps({"status": answer.status, "headers": answer.headers, "replay_path": answer.replay_path})
    return head + b"\n" + answer.body


def _unpacked(packed: bytes) -> Answer:
    head, _, body = packed.partition(b"\n")
    values = orjson.loads(head)
    headers = [(name, value) for name, value in values["headers"]]
    return Answer(values["status"], headers, body, values["replay_path"])


def _reused() -> Conflict:
    return Conflict(
        "This Idempotency-Key was used for another request. Use a new key for each request, the same only to repeat it.",
        code="idempotency_key_reused",
        param="Idempotency-Key",
    )


def _in_progress() -> Conflict:
    return Conflict(
        "The first request with this Idempotency-Key is still under way. Send it again in a moment.",
        code="idempotency_in_progress",
        param="Idempotency-Key",
        retry_after=1,
    )
