"""Secrets: kept private, each for one purpose; keys, tokens and seals that nobody else can make."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.core.config import Settings
from app.core.ids import new_id
from app.core.security import (
    InvalidToken,
    Secrets,
    TokenClaims,
    TokenVerifier,
    api_key_digest,
    credential_fingerprint,
    is_same_secret,
    keyed_digest,
    load_secrets,
    mint_api_key,
    seal,
    tenant_of_api_key,
    unseal,
    write_private_file,
)

TENANT = new_id("tnt")
KEY = b"k" * 32
NOW = 2_000_000_000
STRONG = "correct-horse-battery-staple-0123456789"
OTHER = "another-long-and-varied-secret-9876543210"


def settings(data_dir: Path, **values: str) -> Settings:
    given: dict[str, Any] = {name: SecretStr(value) for name, value in values.items()}
    return Settings(_env_file=None, data_dir=data_dir, **given)


def test_missing_secrets_are_made_once_and_kept_private(data_dir: Path) -> None:
    first, again = load_secrets(settings(data_dir)), load_secrets(settings(data_dir))
    assert first == again
    assert [path.name for path in data_dir.iterdir()] == ["secrets.json"]
    assert (data_dir / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_configured_secrets_need_no_file(data_dir: Path) -> None:
    made = load_secrets(settings(data_dir, secret_key=STRONG, platform_admin_key=OTHER, jwt_secret=STRONG))
    assert not data_dir.exists()
    assert (made.platform_admin_key, made.jwt) == (OTHER, STRONG.encode())


def test_every_purpose_has_a_key_of_its_own(data_dir: Path) -> None:
    one = load_secrets(settings(data_dir, secret_key=STRONG, platform_admin_key=OTHER))
    two = load_secrets(settings(data_dir, secret_key=OTHER, platform_admin_key=OTHER))
    keys = [key for made in (one, two) for key in (made.jwt, made.api_key_pepper, made.kept_answers)]
    assert len(set(keys)) == 6
    assert STRONG.encode() not in keys


def test_secrets_do_not_show_themselves(data_dir: Path) -> None:
    made: Secrets = load_secrets(settings(data_dir))
    assert made.platform_admin_key not in repr(made)
    key = mint_api_key(TENANT, KEY)
    assert key.text not in repr(key)


def test_a_private_file_replaces_another_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    for content in (b"one", b"two"):
        write_private_file(path, content)
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_key_names_its_tenant_and_is_stored_as_a_digest() -> None:
    key = mint_api_key(TENANT, KEY)
    assert tenant_of_api_key(key.text) == TENANT
    assert key.digest == api_key_digest(key.text, KEY)
    assert key.digest != api_key_digest(key.text, b"another pepper")
    assert key.text[-4:] in key.hint
    assert len(key.hint) < 16
    assert mint_api_key(TENANT, KEY).text != key.text


@pytest.mark.parametrize(
    "text", ["", "insula_", "sk-1", "insula_01jz0000000000000000000000_short", f"insula_{'u' * 26}_{'a' * 43}"]
)
def test_what_is_no_key_names_no_tenant(text: str) -> None:
    assert tenant_of_api_key(text) is None


def claims(**changes: object) -> dict[str, object]:
    return {"sub": "ann", "tenant_id": TENANT, "role": "member", "exp": NOW, **changes}


def test_a_token_of_ours_is_read_as_it_was_issued() -> None:
    verifier = TokenVerifier(KEY, audience="insula", issuer="us")
    wanted = TokenClaims("ann", TENANT, "viewer")
    assert verifier.verify(verifier.issue(wanted, issued_at=1_700_000_000, lifetime_seconds=10**9)) == wanted
    operator = TokenClaims("op", None, "platform_admin")
    assert verifier.verify(verifier.issue(operator, issued_at=1_700_000_000, lifetime_seconds=10**9)) == operator


def forged() -> dict[str, str]:
    good = jwt.encode(claims(exp=NOW * 2), KEY, "HS256")
    head, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    return {
        "empty": "",
        "no token": "abc",
        "no signature": f"{head}.{body}.",
        "alg none": f"{none}.{body}.",
        "another secret": jwt.encode(claims(exp=NOW * 2), b"x" * 32, "HS256"),
        "another algorithm": jwt.encode(claims(exp=NOW * 2), KEY * 2, "HS512"),
        "altered": f"{head}.{body[:-2]}AA.{signature}",
        "expired": jwt.encode(claims(exp=1_000_000_000), KEY, "HS256"),
        "not yet": jwt.encode(claims(exp=NOW * 2, nbf=NOW * 2 - 1), KEY, "HS256"),
        "no end": jwt.encode({"sub": "ann", "tenant_id": TENANT}, KEY, "HS256"),
        "endless": jwt.encode(claims(exp=10**30), KEY, "HS256") + "x",
        "end is no number": jwt.encode(claims(exp=NOW * 2) | {"iat": "soon"}, KEY, "HS256"),
        "tenant is no id": jwt.encode(claims(exp=NOW * 2, tenant_id="acme"), KEY, "HS256"),
        "tenant is no text": jwt.encode(claims(exp=NOW * 2, tenant_id=[TENANT]), KEY, "HS256"),
        "role is no text": jwt.encode(claims(exp=NOW * 2, role=1), KEY, "HS256"),
        "very long": jwt.encode(claims(exp=NOW * 2, pad="x" * 9000), KEY, "HS256"),
    }


@pytest.mark.parametrize("name", forged())
def test_a_token_that_is_not_good_is_refused(name: str) -> None:
    assert TokenVerifier(KEY).verify(jwt.encode(claims(exp=NOW * 2), KEY, "HS256")).tenant_id == TENANT
    with pytest.raises(InvalidToken):
        TokenVerifier(KEY).verify(forged()[name])


@pytest.mark.parametrize("changes", [{}, {"aud": "others", "iss": "us"}, {"aud": "insula", "iss": "others"}])
def test_audience_and_issuer_must_match_where_they_are_set(changes: dict[str, str]) -> None:
    token = jwt.encode(claims(exp=NOW * 2, **changes), KEY, "HS256")
    with pytest.raises(InvalidToken):
        TokenVerifier(KEY, audience="insula", issuer="us").verify(token)


@given(st.binary(max_size=2000))
def test_what_is_sealed_comes_back(plain: bytes) -> None:
    assert unseal(KEY, seal(KEY, plain)) == plain


def test_a_seal_hides_and_holds() -> None:
    plain = b"insula_secret" * 10
    one, two = seal(KEY, plain), seal(KEY, plain)
    assert one != two
    assert b"insula" not in one
    altered = one[:-1] + bytes([one[-1] ^ 1])
    for key, sealed in ((KEY, altered), (b"x" * 32, one), (KEY, b""), (KEY, one[:20])):
        with pytest.raises(ValueError, match="not sealed"):
            unseal(key, sealed)


def test_digests_tell_lists_of_parts_apart() -> None:
    assert keyed_digest(KEY, b"ab", b"c") != keyed_digest(KEY, b"a", b"bc")
    assert keyed_digest(KEY, b"ab") != keyed_digest(b"x" * 32, b"ab")


def test_credentials_are_compared_and_remembered_without_being_kept() -> None:
    assert is_same_secret("schlüssel", "schlüssel")
    assert not is_same_secret("schlüssel", "schlussel")
    assert b"secret" not in credential_fingerprint("secret")
