"""The host names the tenant: in every spelling that means it, and in none that only looks like it."""

import pytest

from tests.api.raw import Answer, request
from tests.fixtures.service import Service, TenantClient

#: Host values; ``{slug}`` is the caller's tenant, ``{other}`` another one's.
OWN = [
    "{slug}.localhost",
    "{slug}.localhost:8000",
    "{slug}.localhost.",
    "{slug}.localhost.:80",
    "{SLUG}.LOCALHOST",
    "{SLUG}.Localhost:65535",
]
HOUSE = [
    "localhost",
    "localhost:8000",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1",
    "127.0.0.1:8000",
    "[::1]",
    "[::1]:8000",
    "example.com",
    "a.b.example.com",
    "{slug}.localhost.example.com",
    "notlocalhost",
    "{slug}-localhost",
    "xn--lcalhost-n4a",
]
FOREIGN = ["{other}.localhost", "{other}.localhost:443", "{OTHER}.LOCALHOST", "{other}.localhost."]
NOBODY = [
    "unknown-tenant.localhost",
    "unknown-tenant.localhost:8000",
    "a.{slug}.localhost",
    "{slug}.{slug}.localhost",
    "{slug}.{other}.localhost",
    "{other}.{slug}.localhost",
    "www.{slug}.localhost.",
    "xn--mller-kva.localhost",
    "0-unknown-tenant.localhost",
]
BROKEN = [
    "",
    " ",
    ".",
    ":8000",
    ".localhost",
    "..localhost",
    "{slug}..localhost:80:80",
    "{slug}.localhost:",
    "{slug}.localhost:port",
    "{slug}.localhost:123456",
    "{slug}.localhost:-1",
    "{slug}.localhost:8000:8000",
    "user@{slug}.localhost",
    "user:password@{slug}.localhost",
    "{slug}.localhost@{other}.localhost",
    "{slug}.localhost/",
    "{slug}.localhost?",
    "{slug}.localhost#",
    "{slug}.localhost/{other}.localhost",
    "{slug}.localhost\\{other}.localhost",
    "http://{slug}.localhost",
    "{slug}.localhost,{other}.localhost",
    "{slug}.localhost {other}.localhost",
    "{slug} .localhost",
    "{slug}%2elocalhost",
    "{slug}_.localhost",
    "-{slug}.localhost",
    "{slug}.localhost-",
    "*.localhost",
    "%00.localhost",
    "mü.localhost",
    "\udcff.localhost",
    "[{slug}.localhost]",
    "[::1",
    "::1",
    "[fe80::1%25eth0]",
    "[]",
    "'{slug}'.localhost",
    "{slug}.localhost\x7f",
    "${{jndi}}.localhost",
]


def at(service: Service, host: str, tenant: TenantClient, other: TenantClient) -> Answer:
    """The caller's own page, asked for at a host."""
    spelled = host.format(slug=tenant.slug, other=other.slug, SLUG=tenant.slug.upper(), OTHER=other.slug.upper())
    return request(service, f"Host: {spelled}", f"Authorization: Bearer {tenant.key}")


@pytest.mark.parametrize("host", OWN + HOUSE)
def test_the_own_subdomain_and_the_house_serve(
    service: Service, tenant: TenantClient, other: TenantClient, host: str
) -> None:
    answer = at(service, host, tenant, other)
    assert (answer.status, tenant.id.encode() in answer.body) == (200, True), answer


@pytest.mark.parametrize("host", FOREIGN)
def test_another_tenants_subdomain_is_a_mismatch(
    service: Service, tenant: TenantClient, other: TenantClient, host: str
) -> None:
    answer = at(service, host, tenant, other)
    assert (answer.status, answer.error["code"]) == (403, "tenant_mismatch")


@pytest.mark.parametrize("host", NOBODY)
def test_a_subdomain_of_no_tenant_is_refused(
    service: Service, tenant: TenantClient, other: TenantClient, host: str
) -> None:
    answer = at(service, host, tenant, other)
    assert (answer.status, answer.error["code"]) == (401, "invalid_tenant")


@pytest.mark.parametrize("host", BROKEN)
def test_what_is_no_host_is_refused(service: Service, tenant: TenantClient, other: TenantClient, host: str) -> None:
    answer = at(service, host, tenant, other)
    assert answer.status in (400, 401), answer
    assert tenant.id.encode() not in answer.body


def test_exactly_one_host_is_needed(service: Service, tenant: TenantClient, other: TenantClient) -> None:
    credential = f"Authorization: Bearer {tenant.key}"
    own, theirs = f"Host: {tenant.slug}.localhost", f"Host: {other.slug}.localhost"
    for hosts in ([], [own, theirs], [theirs, own], [own, own], [f"{own}\r\n {other.slug}.localhost"]):
        assert request(service, *hosts, credential).status == 400, hosts
    for headers in (
        [f"Host : {tenant.slug}.localhost"],
        [f"Host:{tenant.slug}.localhost", f"host:{other.slug}.localhost"],
    ):
        assert request(service, *headers, credential).status == 400, headers


def test_no_other_header_and_no_target_names_a_host(
    service: Service, tenant: TenantClient, other: TenantClient
) -> None:
    theirs, credential = f"{other.slug}.localhost", f"Authorization: Bearer {tenant.key}"
    for name in ("X-Forwarded-Host", "Forwarded", "X-Host", "X-Original-Host", "X-Tenant-Id", "X-Tenant", ":authority"):
        value = f"host={theirs}" if name == "Forwarded" else other.id if "Tenant" in name else theirs
        answer = request(service, f"Host: {tenant.slug}.localhost", f"{name}: {value}", credential)
        assert answer.status in (200, 400), (name, answer)
        assert other.id.encode() not in answer.body
    answer = request(service, "Host: localhost", credential, target=f"http://{theirs}/api/v1/tenant")
    assert other.id.encode() not in answer.body
    answer = request(service, "Host: localhost", credential, target=f"/api/v1/tenant?tenant_id={other.id}")
    assert (answer.status, other.id.encode() in answer.body) == (200, False)


def test_suspended_and_unknown_tenants_are_told_apart_by_nobody(service: Service, tenant: TenantClient) -> None:
    sleeper = service.make_tenant()
    assert service.admin.post(f"tenants/{sleeper.id}/suspend").status_code == 200
    answers = [
        request(service, f"Host: {slug}.localhost", f"Authorization: Bearer {key}")
        for slug in (sleeper.slug, "no-such-tenant")
        for key in (tenant.key, "nonsense")
    ]
    told = {(answer.status, *sorted((answer.error | {"request_id": ""}).items())) for answer in answers[::2]}
    assert len(told) == 1
    assert {answer.status for answer in answers} == {401}
    told = {(answer.status, *sorted((answer.error | {"request_id": ""}).items())) for answer in answers[1::2]}
    assert len(told) == 1
