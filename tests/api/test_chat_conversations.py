"""Conversations: history, instructions, agents and fallback models, as the upstream hears of them."""

from typing import Any

import pytest

from tests.fixtures.model import KEY, Model
from tests.fixtures.service import TenantClient
from tests.fixtures.sse import ask, of_type
from tests.upstream import CUT, anthropic_body, openai_body, plain, streamed

NOT_FOUND = "conv_00000000000000000000000000"


def agent_of(tenant: TenantClient, **wanted: Any) -> dict[str, Any]:
    response = tenant.http.post("agents", json={"name": "Agent", "model": "anthropic:claude-3-x", **wanted})
    assert response.status_code == 201, response.text
    agent: dict[str, Any] = response.json()
    return agent


def turns(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in body["messages"]]


def usage_of(tenant: TenantClient) -> list[tuple[str, int, int, int]]:
    rows = tenant.http.get("usage").json()["data"]
    return [
        (row["model"], row["events"], row["input_tokens"], row["output_tokens"])
        for row in rows
        if row["kind"] == "chat"
    ]


def test_a_follow_up_brings_what_was_said_before(model: Model) -> None:
    tenant = model.make_tenant()
    model.says("Seven years.")
    first = ask(tenant.http, "How long?")
    model.says("Two.")
    ask(tenant.http, "And batteries?", conversation_id=first.conversation_id)
    assert turns(model.asked[0]) == [
        ("user", "How long?"),
        ("assistant", "Seven years."),
        ("user", "And batteries?"),
    ]
    saved = tenant.http.get(f"conversations/{first.conversation_id}/messages?order=asc").json()["data"]
    assert [message["content"] for message in saved] == ["How long?", "Seven years.", "And batteries?", "Two."]


def test_a_question_without_an_answer_is_joined_to_the_next_and_saved_alone(model: Model) -> None:
    tenant = model.make_tenant()
    model.plays(plain(401, {"error": {"type": "authentication_error"}}))
    failed = ask(tenant.http, "First?", stream_format="events")
    model.says("Both.")
    ask(tenant.http, "Second?", conversation_id=failed.conversation_id)
    assert turns(model.asked[0]) == [("user", "First?\n\nSecond?")]
    saved = tenant.http.get(f"conversations/{failed.conversation_id}/messages?order=asc").json()["data"]
    assert [message["content"] for message in saved] == ["First?", "Second?", "Both."]


def test_messages_bring_their_own_history_and_system_turns_instruct(model: Model) -> None:
    tenant = model.make_tenant()
    model.says("Ok.")
    messages = [
        {"role": "assistant", "content": "Welcome."},
        {"role": "system", "content": "Rhyme."},
        {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "Three"},
        {"role": "user", "content": "Four?"},
    ]
    answer = ask(tenant.http, {"messages": messages})
    body = model.asked[0]
    assert turns(body) == [("user", "One\ntwo"), ("assistant", "Three"), ("user", "Four?")]
    assert "Rhyme." in body["system"]
    model.says("Ok.")
    ask(
        tenant.http,
        {"messages": [*messages[:-1], {"role": "user", "content": "Five?"}]},
        conversation_id=answer.conversation_id,
    )
    assert turns(model.asked[0]) == [("user", "Four?"), ("assistant", "Ok."), ("user", "Five?")]


def test_an_agent_decides_on_prompt_model_temperature_length_and_retrieval(model: Model) -> None:
    tenant = model.make_tenant()
    tenant.ready("note.md", b"# Note\n\nThe frame has a warranty of seven years.")
    agent = agent_of(
        tenant, system_prompt="Be a pirate.", temperature=0.25, max_tokens=77, retrieval={"mode": "off"}, slug="pirate"
    )
    model.says("Arr.")
    answer = ask(tenant.http, "How long is the warranty of the frame?", agent_id="pirate", stream_format="events")
    body = model.asked[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("claude-3-x", 0.25, 77)
    assert body["system"] == "Be a pirate."
    assert answer.events[0]["agent_id"] == agent["id"]
    assert not of_type(answer.events, "retrieval.completed")
    assert usage_of(tenant) == [("anthropic:claude-3-x", 1, 11, 7)]


def test_knowledge_bases_of_agent_and_request_are_where_answers_come_from(model: Model) -> None:
    tenant = model.make_tenant()
    bases = {}
    for name in ("red", "blue"):
        bases[name] = tenant.http.post("knowledge", json={"name": name}).json()["id"]
        text = f"The warranty of {name} frames is {len(name)} years."
        tenant.ready(f"{name}.md", text.encode(), knowledge_base_id=bases[name])
    agent = agent_of(tenant, knowledge_base_ids=[bases["red"]])

    def seen(**more: Any) -> set[str]:
        model.says("Ok.")
        ask(tenant.http, "How long is the warranty of frames?", **more)
        return {name for name in bases if f"warranty of {name} frames" in model.asked[0]["system"]}

    assert seen() == {"red", "blue"}
    assert seen(knowledge_base_ids=[bases["blue"]]) == {"blue"}
    assert seen(knowledge_base_ids=[]) == set()
    assert seen(agent_id=agent["id"]) == {"red"}
    assert seen(agent_id=agent["id"], knowledge_base_ids=list(bases.values())) == {"red"}
    assert seen(agent_id=agent["id"], knowledge_base_ids=[bases["blue"]]) == set()


def test_without_an_agent_the_tenants_prompt_and_model_serve(model: Model) -> None:
    tenant = model.make_tenant()
    changed = tenant.http.patch(
        "tenant", json={"system_prompt": "You work for Tern.", "default_model": "anthropic:claude-2"}
    )
    assert changed.status_code == 200, changed.text
    model.says("Hi.")
    ask(tenant.http, "Hello?")
    body = model.asked[0]
    assert body["model"] == "claude-2"
    assert body["system"].startswith("You work for Tern.")
    assert "temperature" not in body


def test_a_conversation_goes_on_with_its_agent(model: Model) -> None:
    tenant = model.make_tenant()
    agent = agent_of(tenant, system_prompt="Be a pirate.")
    conversation = tenant.http.post("conversations", json={"agent_id": agent["id"]}).json()
    model.says("Arr.")
    answer = ask(tenant.http, "Hello?", conversation_id=conversation["id"], stream_format="events")
    assert model.asked[0]["system"].startswith("Be a pirate.")
    assert answer.events[0]["agent_id"] == agent["id"]
    tenant.http.delete(f"agents/{agent['id']}")
    model.says("Hello.")
    again = ask(tenant.http, "Hello?", conversation_id=conversation["id"], stream_format="events")
    assert "pirate" not in model.asked[0]["system"]
    assert again.events[0]["agent_id"] is None


FIRST_FAILS = [plain(401, {"error": {"type": "authentication_error"}}), plain(429, b"", retry_after="99"), [CUT] * 1]


@pytest.mark.parametrize("failure", FIRST_FAILS)
def test_the_next_model_answers_where_the_first_fails_and_is_the_one_accounted(
    model: Model, quick_retries: None, failure: list[Any]
) -> None:
    tenant = model.make_tenant()
    agent = agent_of(tenant, fallback_models=["openai:gpt-x"])
    tries = 3 if failure == [CUT] else 1
    model.plays(*[failure] * tries, streamed(openai_body("From ", "the second.", output_tokens=5)))
    answer = ask(tenant.http, "Hello?", agent_id=agent["id"], stream_format="events")
    assert "".join(event["text"] for event in of_type(answer.events, "text.delta")) == "From the second."
    assert [request.path for request in model.upstream.requests][tries - 1 :] == [
        "/v1/messages",
        "/v1/chat/completions",
    ]
    assert {event["model"] for event in of_type(answer.events, "usage")} == {"openai:gpt-x"}
    assert tenant.http.get(f"runs/{answer.run_id}").json()["model"] == "anthropic:claude-3-x"
    assert usage_of(tenant) == [("openai:gpt-x", 1, 11, 5)]


def test_no_other_model_goes_on_with_what_one_began(model: Model) -> None:
    tenant = model.make_tenant()
    agent = agent_of(tenant, fallback_models=["openai:gpt-x"])
    model.drips(2, 0.0, CUT)
    answer = ask(tenant.http, "Hello?", agent_id=agent["id"], stream_format="events")
    assert answer.events[-1]["error"]["code"] == "upstream_cut_off"
    assert len(model.asked) == 1


def test_another_tenants_conversation_is_none(model: Model) -> None:
    tenant, other = model.make_tenant(), model.make_tenant()
    model.says("Yes.")
    conversation_id = ask(tenant.http, "Is it?").conversation_id
    bodies = []
    for identifier in (conversation_id, NOT_FOUND):
        response = other.http.post("chat/stream", json={"message": "Is it?", "conversation_id": identifier})
        assert response.status_code == 404
        bodies.append({**response.json()["error"], "request_id": ""})
    assert bodies[0] == bodies[1]


def test_nothing_secret_is_in_what_the_model_reads(model: Model) -> None:
    tenant = model.make_tenant()
    tenant.ready("note.md", b"# Note\n\nThe frame has a warranty of seven years.")
    model.plays(streamed(anthropic_body("Seven [1].")))
    answer = ask(tenant.http, "How long is the warranty of the frame?", metadata={"customer": "4711"})
    (request,) = model.upstream.requests
    settings = model.service.settings
    hidden = [
        KEY,
        tenant.key,
        tenant.id,
        tenant.slug,
        answer.conversation_id,
        answer.run_id,
        "4711",
        "doc_",
        "kb_",
        "chk_",
    ]
    hidden += [model.service.admin_key, str(settings.data_dir), "sqlite"]
    assert [secret for secret in hidden if secret.encode() in request.body] == []
    assert b"seven years" in request.body
