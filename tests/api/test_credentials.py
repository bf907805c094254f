"""API keys and the headers that carry them: one answer to all that are no good, and none of two minds."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from app.core.ids import new_id
from tests.api.raw import request
from tests.fixtures.service import Service, TenantClient
from tests.isolation.world import rows_of

SQL = [
    "' OR '1'='1",
    "'; DROP TABLE api_keys; --",
    '" OR 1=1 --',
    "admin'/*",
    "1; SELECT pg_sleep(10)",
    "' UNION SELECT * FROM api_keys --",
    "%",
    "_" * 43,
]


def hostile_keys(tenant: TenantClient, other: TenantClient) -> dict[str, str]:
    prefix, name, secret = tenant.key.split("_", 2)
    their_name, their_secret = other.key.split("_", 2)[1:]
    return {
        "another's name": f"{prefix}_{their_name}_{secret}",
        "another's secret": f"{prefix}_{name}_{their_secret}",
        "unknown tenant": f"{prefix}_{new_id('tnt')[4:]}_{secret}",
        "wrong secret": f"{prefix}_{name}_{'A' * 43}",
        "one character off": tenant.key[:-1] + ("A" if tenant.key[-1] != "A" else "B"),
        "cut": tenant.key[:-1],
        "longer": f"{tenant.key}A",
        "upper case": tenant.key.upper(),
        "no prefix": f"{name}_{secret}",
        "only the tenant": tenant.id,
        "only the secret": secret,
        "twice": f"{tenant.key},{tenant.key}",
        "with a path": f"{prefix}_{name}/../{secret}",
        "very long": f"{prefix}_{name}_{'A' * 30_000}",
        **{f"SQL {number}": f"{prefix}_{name}_{text}" for number, text in enumerate(SQL)},
        **{f"bare SQL {number}": text for number, text in enumerate(SQL)},
    }


def test_every_key_that_is_no_good_is_the_same_401(service: Service, tenant: TenantClient, other: TenantClient) -> None:
    before = rows_of(service.settings.data_dir, tenant.id)
    bodies = set()
    for kind, key in hostile_keys(tenant, other).items():
        for header in ("Authorization: Bearer", "x-api-key:"):
            answer = request(service, "Host: localhost", f"{header} {key}")
            assert answer.status == 401, (kind, header, answer)
            assert answer.headers["www-authenticate"] == "Bearer"
            bodies.add(answer.body.replace(answer.error["request_id"].encode(), b""))
    assert len(bodies) == 1
    assert rows_of(service.settings.data_dir, tenant.id) == before


@pytest.mark.parametrize(
    "header",
    [
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization: Basic dXNlcjpwYXNz",
        "Authorization: Digest x",
        "Authorization: {key}",
        "Authorization: Token {key}",
        "Authorization: Bearer{key}",
        "Authorization: Bearer\x00 {key}",
        "x-api-key:",
        "x-api-key: Bearer {key}",
        "api-key: {key}",
        "Cookie: api_key={key}",
        "Proxy-Authorization: Bearer {key}",
    ],
)
def test_what_carries_no_credential_is_401_or_400(service: Service, tenant: TenantClient, header: str) -> None:
    answer = request(service, "Host: localhost", header.format(key=tenant.key))
    assert answer.status in (400, 401), answer


@pytest.mark.parametrize("header", ["authorization: bearer {key}", "AUTHORIZATION: BEARER  {key} ", "X-API-KEY: {key}"])
def test_headers_are_read_as_http_says(service: Service, tenant: TenantClient, header: str) -> None:
    assert request(service, "Host: localhost", header.format(key=tenant.key)).status == 200


def test_a_key_in_the_address_is_no_credential(service: Service, tenant: TenantClient) -> None:
    for name in ("api_key", "key", "access_token", "token"):
        assert request(service, "Host: localhost", target=f"/api/v1/tenant?{name}={tenant.key}").status == 401


def test_two_credentials_must_be_the_same(service: Service, tenant: TenantClient, other: TenantClient) -> None:
    bearer, same = f"Authorization: Bearer {tenant.key}", f"x-api-key: {tenant.key}"
    assert request(service, "Host: localhost", bearer, same).status == 200
    for second in (f"x-api-key: {other.key}", f"Authorization: Bearer {other.key}", "x-api-key: nonsense"):
        answer = request(service, "Host: localhost", bearer, second)
        assert (answer.status, answer.error["code"]) == (400, "ambiguous_credentials")
        assert tenant.id.encode() not in answer.body


def test_a_revoked_key_is_refused_at_once(service: Service, tenant: TenantClient) -> None:
    made = tenant.http.post("api-keys", json={"name": "short-lived"}).json()
    client = service.client(made["key"])
    assert client.get("tenant").status_code == 200
    assert tenant.http.delete(f"api-keys/{made['id']}").json()["revoked_at"]
    assert client.get("tenant").json()["error"]["code"] == "invalid_credentials"
    assert tenant.http.delete(f"api-keys/{made['id']}").status_code == 200, "revoking twice changes nothing"


def test_an_expired_key_is_refused(service: Service, tenant: TenantClient) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    client = service.client(tenant.key_with(expires_at=soon.isoformat()))
    past = service.client(tenant.key_with(expires_at="2001-01-01T00:00:00Z"))
    assert past.get("tenant").status_code == 401
    assert client.get("tenant").status_code == 200
    deadline = time.monotonic() + 5
    while client.get("tenant").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert client.get("tenant").status_code == 401


def test_only_a_keyed_hash_is_kept(service: Service, tenant: TenantClient) -> None:
    service.client(tenant.key_with(name="one more")).get("tenant")
    kept = repr(rows_of(service.settings.data_dir, tenant.id))
    assert tenant.key not in kept
    assert tenant.key.split("_", 2)[2] not in kept
    shown = tenant.http.get("api-keys").text
    assert tenant.key not in shown
    assert tenant.key[-4:] in shown


def test_secrets_are_in_no_error(service: Service, tenant: TenantClient) -> None:
    for path in ("nowhere", "documents/x", "usage?since=x"):
        response = tenant.http.get(path)
        assert response.status_code >= 400
        assert tenant.key not in response.text
