"""Secrets, API keys and tokens: minted, hashed and verified here and nowhere else."""

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
import orjson

from app.core.config import Settings
from app.core.ids import is_id

_KEY = re.compile(r"^insula_([0-9a-z]{26})_([A-Za-z0-9_-]{43})$")
_JWT_LEEWAY_SECONDS: Final = 30
_MAX_TOKEN_LENGTH: Final = 8192
_NONCE_BYTES: Final = 16
_HEAD_BYTES: Final = _NONCE_BYTES + 32


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """The keys of this installation, each for one purpose only."""

    jwt: bytes
    api_key_pepper: bytes
    kept_answers: bytes
    platform_admin_key: str


@dataclass(frozen=True, slots=True, repr=False)
class MintedKey:
    """A new API key: ``text`` is shown once, ``digest`` is stored, ``hint`` tells keys apart in a list."""

    text: str
    digest: str
    hint: str


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a verified JWT says; ``tenant_id`` is None only for a platform admin."""

    subject: str
    tenant_id: str | None
    role: str


class InvalidToken(Exception):
    """The token is not one of ours, has expired or was altered; the reason is not for the caller."""


def load_secrets(settings: Settings) -> Secrets:
    """The configured secrets; in development what is missing is generated once and kept in the data directory."""
    stored = {} if settings.secret_key and settings.platform_admin_key else _stored_secrets(settings.data_dir)
    master = settings.secret_key.get_secret_value() if settings.secret_key else stored["secret_key"]
    admin = settings.platform_admin_key.get_secret_value() if settings.platform_admin_key else stored["admin_key"]
    jwt_secret = settings.jwt_secret.get_secret_value().encode() if settings.jwt_secret else _derive(master, "jwt")
    return Secrets(
        jwt=jwt_secret,
        api_key_pepper=_derive(master, "api-key"),
        kept_answers=_derive(master, "kept-answers"),
        platform_admin_key=admin,
    )


def _derive(master: str, purpose: str) -> bytes:
    """A key for one purpose: HKDF's expand step with one block (RFC 5869, section 2.3)."""
    return hmac.digest(master.encode(), b"insula/" + purpose.encode() + b"\x01", "sha256")


def _stored_secrets(data_dir: Path) -> dict[str, str]:
    path = data_dir / "secrets.json"
    if not path.exists():
        fresh = {"secret_key": secrets.token_urlsafe(48), "admin_key": secrets.token_urlsafe(48)}
        write_private_file(path, orjson.dumps(fresh))
    loaded: dict[str, str] = orjson.loads(path.read_bytes())
    return loaded


def make_private_directory(path: Path) -> None:
    """Make a directory that only its owner may enter; one that is there already keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; it appears whole or not at all."""
    make_private_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def mint_api_key(tenant_id: str, pepper: bytes) -> MintedKey:
    """A new key with 256 random bits. It names its tenant, so that looking it up needs no sight of other tenants."""
    text = f"insula_{tenant_id.removeprefix('tnt_')}_{secrets.token_urlsafe(32)}"
    return MintedKey(text=text, digest=api_key_digest(text, pepper), hint=f"insula_…{text[-4:]}")


def tenant_of_api_key(text: str) -> str | None:
    """The tenant that a key claims, or None where the text is no key."""
    match = _KEY.fullmatch(text)
    tenant_id = f"tnt_{match[1]}" if match else None
    return tenant_id if tenant_id and is_id(tenant_id) else None


def api_key_digest(text: str, pepper: bytes) -> str:
    """What is stored of a key: HMAC-SHA256 under the pepper, in hex."""
    return hmac.digest(pepper, text.encode(), "sha256").hex()


def credential_fingerprint(text: str) -> bytes:
    """A cache key for a credential that does not keep it."""
    return hashlib.sha256(text.encode()).digest()


def keyed_digest(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 of the parts, each with its length in front, so that no two lists of parts look alike."""
    return hmac.digest(key, b"".join(len(part).to_bytes(8) + part for part in parts), "sha256")


def seal(key: bytes, plain: bytes) -> bytes:
    """Encrypt and authenticate: what holds secrets that are shown once must not lie in the database for all to read.

    SHAKE-256 (FIPS 202, an extendable-output function) of a key that HMAC derives for each nonce is the keystream;
    HMAC-SHA256 over nonce and ciphertext is the tag (encrypt-then-MAC). The standard library has no cipher.
    """
    nonce = os.urandom(_NONCE_BYTES)
    cipher = _mask(key, nonce, plain)
    return nonce + keyed_digest(key, b"tag", nonce, cipher) + cipher


def unseal(key: bytes, sealed: bytes) -> bytes:
    """What was sealed; raises ValueError where the key is another or a byte was changed."""
    nonce, tag, cipher = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:_HEAD_BYTES], sealed[_HEAD_BYTES:]
    if not hmac.compare_digest(tag, keyed_digest(key, b"tag", nonce, cipher)):
        raise ValueError("not sealed with this key")
    return _mask(key, nonce, cipher)


def _mask(key: bytes, nonce: bytes, data: bytes) -> bytes:
    stream = hashlib.shake_256(keyed_digest(key, b"stream", nonce)).digest(len(data))
    return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))


def is_same_secret(given: str, expected: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


class TokenVerifier:
    """Verifies HS256 tokens under one secret; what a token says of its own algorithm is never followed."""

    def __init__(self, secret: bytes, *, audience: str | None = None, issuer: str | None = None) -> None:
        self._secret = secret
        self._audience = audience
        self._issuer = issuer

    def verify(self, token: str) -> TokenClaims:
        """The claims of a valid token; raises InvalidToken."""
        if len(token) > _MAX_TOKEN_LENGTH:
            raise InvalidToken
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_JWT_LEEWAY_SECONDS,
                options={"require": ["exp"], "verify_aud": self._audience is not None},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise InvalidToken from error
        return _read_claims(claims)

    def issue(self, claims: TokenClaims, *, issued_at: int, lifetime_seconds: int) -> str:
        """A token of our own, for the command line and tests; times are Unix seconds."""
        payload: dict[str, Any] = {
            "sub": claims.subject,
            "role": claims.role,
            "iat": issued_at,
            "exp": issued_at + lifetime_seconds,
        }
        optional = {"tenant_id": claims.tenant_id, "aud": self._audience, "iss": self._issuer}
        payload |= {name: value for name, value in optional.items() if value is not None}
        return jwt.encode(payload, self._secret, algorithm="HS256")


def _read_claims(claims: dict[str, Any]) -> TokenClaims:
    subject, tenant_id, role = claims.get("sub", "token"), claims.get("tenant_id"), claims.get("role", "member")
    if not isinstance(subject, str) or not isinstance(role, str):
        raise InvalidToken
    if tenant_id is not None and not (isinstance(tenant_id, str) and is_id(tenant_id)):
        raise InvalidToken
    return TokenClaims(subject=subject[:200], tenant_id=tenant_id, role=role)
