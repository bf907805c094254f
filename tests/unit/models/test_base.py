"""Times in the database are aware and in UTC, whatever the database forgets."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from app.models import Base
from app.models.base import NAMES, UtcDateTime

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DIALECTS = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call]
}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_time_comes_back_as_it_was_meant(name: str) -> None:
    column, dialect = UtcDateTime(), DIALECTS[name]
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    stored = column.process_bind_param(tokyo, dialect)
    assert stored is not None
    assert (stored.hour, stored.tzinfo) == (12, None if name == "sqlite" else UTC)
    assert column.process_result_value(stored, dialect) == NOON


def test_nothing_stays_nothing_and_a_time_without_a_zone_is_refused() -> None:
    column, dialect = UtcDateTime(), DIALECTS["sqlite"]
    assert column.process_bind_param(None, dialect) is None
    assert column.process_result_value(None, dialect) is None
    with pytest.raises(ValueError, match="without a zone"):
        column.process_bind_param(NOON.replace(tzinfo=None), dialect)


def test_every_constraint_has_a_name_that_a_migration_can_use() -> None:
    assert Base.metadata.naming_convention == NAMES
    for table in Base.metadata.tables.values():
        assert all(constraint.name for constraint in table.constraints)
