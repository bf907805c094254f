"""Hostile JWTs: each is the same 401, whatever is wrong with it."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.ids import new_id
from app.core.security import InvalidToken, TokenClaims, TokenVerifier
from tests.fixtures.service import Service, TenantClient, running_service, test_settings

PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0/IzW7yWR7Qk
-----END PUBLIC KEY-----
"""
JWK = {"kty": "oct", "k": "", "alg": "HS256"}


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def dumped(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def signed(header: Any, claims: Any, key: bytes, digest: str = "sha256") -> str:
    """A token with any header at all, truly signed under a key."""
    text = f"{encoded(dumped(header))}.{encoded(dumped(claims))}"
    return f"{text}.{encoded(hmac.digest(key, text.encode(), digest))}"


class Forge:
    """Makes tokens for a tenant: good ones, and ones with one thing wrong."""

    def __init__(self, secret: bytes, tenant_id: str) -> None:
        self.secret = secret
        self.tenant_id = tenant_id
        self.now = int(time.time())

    @property
    def claims(self) -> dict[str, Any]:
        return {"sub": "u", "tenant_id": self.tenant_id, "role": "owner", "iat": self.now, "exp": self.now + 600}

    def with_header(self, **fields: Any) -> str:
        return signed({"alg": "HS256", "typ": "JWT", **fields}, self.claims, self.secret)

    def with_claims(self, **fields: Any) -> str:
        changed = {name: value for name, value in {**self.claims, **fields}.items() if value is not Ellipsis}
        return signed({"alg": "HS256", "typ": "JWT"}, changed, self.secret)

    def unsigned(self, algorithm: Any, signature: str = "") -> str:
        return f"{encoded(dumped({'alg': algorithm}))}.{encoded(dumped(self.claims))}.{signature}"

    def keyed(self, key: bytes, algorithm: str = "HS256", digest: str = "sha256", **fields: Any) -> str:
        return signed({"alg": algorithm, "typ": "JWT", **fields}, self.claims, key, digest)

    def raw_claims(self, extra: bytes) -> str:
        body = dumped(self.claims)[:-1] + b", " + extra + b"}"
        return signed({"alg": "HS256"}, body, self.secret)

    def parts(self) -> list[str]:
        return self.with_claims().split(".")


HOSTILE: dict[str, Callable[[Forge], str]] = {
    **{
        f"alg {name!r}": partial(Forge.unsigned, algorithm=name)
        for name in ("none", "None", "nOnE", "NONE", "", None, 0)
    },
    "alg none with a signature": lambda f: f.unsigned("none", f.parts()[2]),
    "alg none under the secret": lambda f: f.keyed(f.secret, "none"),
    "no alg": lambda f: signed({"typ": "JWT"}, f.claims, f.secret),
    "alg in a list": lambda f: signed({"alg": ["HS256"]}, f.claims, f.secret),
    "alg twice, none last": lambda f: signed(b'{"alg":"HS256","alg":"none"}', f.claims, f.secret),
    "alg in lower case": lambda f: f.keyed(f.secret, "hs256"),
    "HS384 under the secret": lambda f: f.keyed(f.secret, "HS384", "sha384"),
    "HS512 under the secret": lambda f: f.keyed(f.secret, "HS512", "sha512"),
    "HS256 said, SHA-512 done": lambda f: f.keyed(f.secret, "HS256", "sha512"),
    "RS256 said": lambda f: f.keyed(f.secret, "RS256"),
    "ES256 said": lambda f: f.keyed(f.secret, "ES256"),
    "EdDSA said": lambda f: f.keyed(f.secret, "EdDSA"),
    "PS256 under a public key": lambda f: f.keyed(PUBLIC_KEY.encode(), "PS256"),
    "public key as secret": lambda f: f.keyed(PUBLIC_KEY.encode()),
    "public key with CRLF": lambda f: f.keyed(PUBLIC_KEY.replace("\n", "\r\n").encode()),
    "JWK as secret": lambda f: f.keyed(json.dumps(JWK).encode(), jwk=JWK),
    "JWKS as secret": lambda f: f.keyed(json.dumps({"keys": [JWK]}).encode()),
    "empty secret": lambda f: f.keyed(b""),
    "secret `secret`": lambda f: f.keyed(b"secret"),
    "secret of zeros": lambda f: f.keyed(bytes(32)),
    "secret in hex": lambda f: f.keyed(f.secret.hex().encode()),
    "secret in base64": lambda f: f.keyed(base64.b64encode(f.secret)),
    "hash of the secret": lambda f: f.keyed(hashlib.sha256(f.secret).digest()),
    "unknown crit": lambda f: f.with_header(crit=["exp2"], exp2=1),
    "crit of exp": lambda f: f.with_header(crit=["exp"]),
    "empty crit": lambda f: f.with_header(crit=[]),
    "crit as text": lambda f: f.with_header(crit="b64"),
    "b64 false": lambda f: f.with_header(b64=False, crit=["b64"]),
    "typ of a JWE": lambda f: f"{f.with_claims()}.x.y",
    "nested": lambda f: signed({"alg": "HS256", "cty": "JWT"}, f.with_claims().encode(), f.secret),
    "huge header": lambda f: f.with_header(kid="k" * 30_000),
    "huge claim": lambda f: f.with_claims(sub="s" * 20_000),
    "kid of 10 kB": lambda f: f.keyed(b"", kid="../" * 3400),
    "exp missing": lambda f: f.with_claims(exp=...),
    "exp null": lambda f: f.with_claims(exp=None),
    "exp past": lambda f: f.with_claims(exp=f.now - 31),
    "exp zero": lambda f: f.with_claims(exp=0),
    "exp negative": lambda f: f.with_claims(exp=-1),
    "exp as words": lambda f: f.with_claims(exp="tomorrow"),
    "exp as a list": lambda f: f.with_claims(exp=[f.now + 600]),
    "exp as an object": lambda f: f.with_claims(exp={"$gt": 0}),
    "exp infinite": lambda f: f.raw_claims(b'"exp": Infinity'),
    "exp not a number": lambda f: f.raw_claims(b'"exp": NaN'),
    "exp of 1e400": lambda f: f.raw_claims(b'"exp": 1e400'),
    "exp of a million digits": lambda f: f.raw_claims(b'"exp": ' + b"9" * 5000),
    "nbf ahead": lambda f: f.with_claims(nbf=f.now + 90),
    "nbf as words": lambda f: f.with_claims(nbf="now"),
    "iat ahead": lambda f: f.with_claims(iat=f.now + 90),
    "iat as words": lambda f: f.with_claims(iat="now"),
    "tenant missing": lambda f: f.with_claims(tenant_id=...),
    "tenant null": lambda f: f.with_claims(tenant_id=None),
    "tenant a number": lambda f: f.with_claims(tenant_id=1),
    "tenant a list": lambda f: f.with_claims(tenant_id=[f.tenant_id]),
    "tenant an object": lambda f: f.with_claims(tenant_id={"id": f.tenant_id}),
    "tenant of the system": lambda f: f.with_claims(tenant_id="*system*"),
    "tenant empty": lambda f: f.with_claims(tenant_id=""),
    "tenant with SQL": lambda f: f.with_claims(tenant_id=f"{f.tenant_id}' OR '1'='1"),
    "tenant with a line feed": lambda f: f.with_claims(tenant_id=f"{f.tenant_id}\n"),
    "tenant with a wildcard": lambda f: f.with_claims(tenant_id="tnt_%"),
    "role of the system": lambda f: f.with_claims(role="system"),
    "role of the system, no tenant": lambda f: f.with_claims(role="system", tenant_id=...),
    "role of the platform in a tenant": lambda f: f.with_claims(role="platform_admin"),
    "role unknown": lambda f: f.with_claims(role="root"),
    "role a list": lambda f: f.with_claims(role=["owner"]),
    "role null": lambda f: f.with_claims(role=None),
    "subject a number": lambda f: f.with_claims(sub=1),
    "signature missing": lambda f: ".".join([*f.parts()[:2], ""]),
    "signature cut": lambda f: f.with_claims()[:-2],
    "signature of another": lambda f: ".".join([*f.parts()[:2], f.with_claims(sub="v").split(".")[2]]),
    "claims changed": lambda f: ".".join([f.parts()[0], f.with_claims(sub="v").split(".")[1], f.parts()[2]]),
    "two parts": lambda f: ".".join(f.parts()[:2]),
    "four parts": lambda f: f"{f.with_claims()}.x",
    "no parts": lambda f: "...",
    "claims no object": lambda f: signed({"alg": "HS256"}, [1], f.secret),
    "claims no JSON": lambda f: signed({"alg": "HS256"}, b"{", f.secret),
    "header no object": lambda f: signed(["HS256"], f.claims, f.secret),
    "header not UTF-8": lambda f: signed(b"\xff\xfe", f.claims, f.secret),
    "deep claims": lambda f: signed({"alg": "HS256"}, b'{"a":' * 1500 + b"1" + b"}" * 1500, f.secret),
    "padding": lambda f: f"{f.parts()[0]}==.{f.parts()[1]}==.{f.parts()[2]}==",
    "quotes": lambda f: f'"{f.with_claims()}"',
}


@pytest.fixture
def forge(service: Service, tenant: TenantClient) -> Forge:
    return Forge(service.application.resources.secrets.jwt, tenant.id)


def told(response: httpx.Response) -> tuple[int, dict[str, Any]]:
    return response.status_code, {**response.json()["error"], "request_id": ""}


def test_a_good_token_is_let_in(service: Service, forge: Forge) -> None:
    """What is hostile below differs from this by one thing."""
    for token in (
        forge.with_claims(),
        forge.with_claims(exp=forge.now - 25),
        forge.with_claims(nbf=forge.now + 25),
        forge.with_header(kid="any", jku="http://127.0.0.1:1/keys", x5u="http://127.0.0.1:1/keys"),
    ):
        assert service.client(token).get("tenant").json().get("id") == forge.tenant_id


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_token_is_the_same_401(service: Service, forge: Forge, kind: str) -> None:
    assert len(HOSTILE) >= 60
    verdict = told(service.client("nonsense").get("tenant"))
    assert verdict[0] == 401
    token = HOSTILE[kind](forge)
    try:
        response = service.client(token).get("tenant")
    except httpx.RemoteProtocolError:
        assert len(token) > 64_000, "the server hung up on a head that is not too long"
    else:
        assert told(response) == verdict or (len(token) > 64_000 and response.status_code in (400, 431))


@pytest.mark.parametrize("exp", [1e308, 2**63, 2**31, "9999999999"])
def test_a_far_expiry_crashes_nothing(service: Service, forge: Forge, exp: float | str) -> None:
    assert service.client(forge.with_claims(exp=exp)).get("tenant").status_code in (200, 401)


def test_tokens_of_unknown_and_suspended_tenants_are_told_apart_by_nobody(service: Service, forge: Forge) -> None:
    sleeper = service.make_tenant()
    service.admin.post(f"tenants/{sleeper.id}/suspend")
    answers = [
        told(service.client(forge.with_claims(tenant_id=tenant_id)).get("tenant"))
        for tenant_id in (sleeper.id, new_id("tnt"))
    ]
    assert answers[0] == answers[1]
    assert (answers[0][0], answers[0][1]["code"]) == (401, "invalid_tenant")


def test_roles_of_tokens_are_roles_of_keys(service: Service, forge: Forge) -> None:
    viewer = service.client(forge.with_claims(role="viewer"))
    assert viewer.get("documents").status_code == 200
    assert viewer.post("agents", json={"name": "x"}).status_code == 403
    platform = service.client(forge.with_claims(role="platform_admin", tenant_id=...))
    assert platform.get("tenants").status_code == 200
    assert platform.get("documents").json()["error"]["code"] == "tenant_required"


def test_audience_and_issuer_are_exact(tmp_path: Path) -> None:
    wanted = {"aud": "insula", "iss": "https://idp.example"}
    settings = test_settings(tmp_path, jwt_audience=wanted["aud"], jwt_issuer=wanted["iss"])
    with running_service(settings) as service:
        forge = Forge(service.application.resources.secrets.jwt, service.make_tenant().id)
        for good in (wanted, {**wanted, "aud": ["other", "insula"]}):
            assert service.client(forge.with_claims(**good)).get("tenant").status_code == 200
        for bad in (
            {},
            {"aud": "insula"},
            {"iss": "https://idp.example"},
            {**wanted, "aud": "other"},
            {**wanted, "aud": []},
            {**wanted, "aud": ["insulae"]},
            {**wanted, "aud": {"insula": True}},
            {**wanted, "aud": None},
            {**wanted, "iss": "https://idp.example.evil"},
            {**wanted, "iss": "https://idp.example/"},
            {**wanted, "iss": ["https://idp.example"]},
            {**wanted, "iss": "HTTPS://IDP.EXAMPLE"},
            {**wanted, "iss": None},
        ):
            assert service.client(forge.with_claims(**bad)).get("tenant").status_code == 401, bad


def test_a_token_is_forgotten_when_it_expires() -> None:
    """What is remembered of a credential is at most a moment older than the credential itself."""
    verifier = TokenVerifier(b"0123456789abcdef0123456789abcdef")
    claims = TokenClaims("subject", new_id("tnt"), "member")
    assert verifier.verify(verifier.issue(claims, issued_at=int(time.time()), lifetime_seconds=60)) == claims
    with pytest.raises(InvalidToken):
        verifier.verify(verifier.issue(claims, issued_at=int(time.time()) - 3600, lifetime_seconds=60))
