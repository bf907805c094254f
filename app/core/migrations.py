"""The database's schema: brought to head, and checked to be there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from app.core.database import Database

_FOLDER = Path(__file__).resolve().parents[2] / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection, revision: str) -> None:
    command.upgrade(_config(connection), revision)


def _downgrade(connection: Connection, revision: str) -> None:
    command.downgrade(_config(connection), revision)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema up to a revision, in one transaction; being there already changes nothing."""
    async with database.engine.begin() as connection:
        await connection.run_sync(_upgrade, revision)


async def downgrade(database: Database, revision: str) -> None:
    """Bring the schema down to a revision (``base`` empties it)."""
    async with database.engine.begin() as connection:
        await connection.run_sync(_downgrade, revision)


async def is_at_head(database: Database) -> bool:
    """Whether the schema is the one that this code was written for."""
    async with database.engine.connect() as connection:
        return await connection.run_sync(_current) == ScriptDirectory.from_config(_config()).get_current_head()
