"""The main job: a document is uploaded, processed, and answered from, with citations that hold."""

import json

from tests.fixtures.service import TenantClient

HANDBOOK = b"""# Tern Bicycles

## Warranty

Every frame has a warranty of seven years. Batteries have a warranty of two years.

## Returns

Unused parts can be returned within forty days.
"""


def test_an_uploaded_document_answers_with_a_citation_that_holds(tenant: TenantClient) -> None:
    accepted = tenant.upload("handbook.md", HANDBOOK)
    assert accepted["status"] == "processing"
    document = tenant.wait(accepted["id"])
    assert (document["status"], document["progress"], document["stage"]) == ("ready", 1.0, "done")

    question = {"message": "How long is the warranty of a frame?", "stream_format": "events"}
    with tenant.http.stream("POST", "chat/stream", json=question) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    events = [json.loads(line) for line in lines]
    text = "".join(event["text"] for event in events if event["type"] == "text.delta")
    citation = next(event for event in events if event["type"] == "citation.added")
    chunks = tenant.http.get(f"documents/{document['id']}/chunks").json()["data"]
    chunk = next(chunk for chunk in chunks if chunk["id"] == citation["chunk_id"])

    assert "seven years" in text
    assert citation["document_id"] == document["id"]
    start = citation["start"] - chunk["start"]
    assert chunk["text"][start : start + len(citation["quote"])] == citation["quote"]
    assert events[0]["type"] == "run.created"
    assert events[-1]["type"] == "run.completed"
    assert [event["sequence_number"] for event in events] == list(range(1, len(events) + 1))
