"""One noun, one stem, in every room: the tree has the file, or the table below says why it has not."""

from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "app"

ROOMS = {
    "endpoints": APP / "api" / "v1" / "endpoints",
    "services": APP / "services",
    "repositories": APP / "repositories",
    "models": APP / "models",
    "schemas": APP / "schemas",
}
#: Rooms that speak of one thing at a time; knowledge, usage and health have no plural.
SINGULAR_ROOMS = {"models", "schemas"}

#: Every noun of the product, with the rooms that it does not need and why.
NOUNS: dict[str, dict[str, str]] = {
    "agents": {},
    "api_keys": {},
    "chat": {
        "repositories": "a chat is a run in a conversation; those have the rows",
        "models": "a chat is a run in a conversation; those have the rows",
    },
    "conversations": {},
    "documents": {},
    "health": {
        "repositories": "it is probed, not stored",
        "models": "it is probed, not stored",
    },
    "idempotency": {
        "endpoints": "a header of every creating route, not a resource",
        "schemas": "a header of every creating route, not a resource",
    },
    "jobs": {
        "endpoints": "background work is seen through the document or run that it serves",
        "schemas": "background work is seen through the document or run that it serves",
    },
    "knowledge": {},
    "runs": {},
    "tenants": {},
    "usage": {},
}

#: Files in these rooms that stand for no noun of the product, and what they are.
FURNITURE: dict[str, dict[str, str]] = {
    "endpoints": {},
    "services": {
        "application": "the services that live as long as the process, put together once",
        "auth": "makes a principal from a credential of whatever kind",
        "dispatch": "hands jobs to the broker",
        "document_jobs": "the work behind documents, which a worker does and no caller sees",
        "document_sink": "writes a new version of a document, for the work behind documents",
        "intake": "makes a file's bytes safe before they become a document",
        "resources": "opens and closes the outside world",
        "run_recorder": "the work behind runs, which outlives the call that started it",
    },
    "repositories": {"base": "where every statement starts"},
    "models": {"base": "what every table has", "guard": "the tenant's criteria on every statement"},
    "schemas": {"base": "what every shape has", "error": "the one error body"},
}


def stem(noun: str, room: str) -> str:
    """The file name of a noun in a room."""
    return noun.removesuffix("s") if room in SINGULAR_ROOMS else noun


def stems(room: str) -> set[str]:
    """The modules and packages of a room, machinery packages left out."""
    machinery = {"ingestion", "retrieval", "generation"} if room == "services" else set()
    entries = (entry for entry in ROOMS[room].iterdir() if entry.suffix == ".py" or (entry / "__init__.py").exists())
    return {entry.stem for entry in entries} - {"__init__"} - machinery


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_has_its_file_in_every_room_or_a_reason(noun: str, room: str) -> None:
    exists, reason = stem(noun, room) in stems(room), NOUNS[noun].get(room)
    assert exists or reason, f"{noun} has no {ROOMS[room].relative_to(APP.parent)}/{stem(noun, room)}.py"
    assert not (exists and reason), f"{noun} has a file in {room} now; remove the reason from the table"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_holds_only_nouns(room: str) -> None:
    nouns = {stem(noun, room) for noun in NOUNS}
    assert stems(room) - nouns - FURNITURE[room].keys() == set(), (
        "name the noun in the table, or the file after its noun"
    )


@pytest.mark.parametrize("room", ROOMS)
def test_furniture_is_still_there(room: str) -> None:
    assert FURNITURE[room].keys() - stems(room) == set(), "it is gone; remove it from the table"
