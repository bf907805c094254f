"""Writes docs/configuration.md and .env.example from the settings, so that neither can say what is not so."""

import sys
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from app.core.config import Settings

ROOT = Path(__file__).resolve().parents[1]

_PAGE = """# Configuration

Every setting is an environment variable, or a line of a file `.env` in the directory that the service is started from;
the environment wins over the file. A variable that is set to nothing counts as not set. What is not acceptable is refused
at the start, with a sentence for each setting that is not right.

Written by `python -m scripts.configuration` from `app/core/config.py`; the descriptions are changed there.

| variable | default | meaning |
|---|---|---|
{rows}

Where two names are given the first one wins. The second is the one that the provider's own SDK reads.

## Production

`INSULA_ENVIRONMENT=production` refuses to start without `INSULA_SECRET_KEY` and `INSULA_PLATFORM_ADMIN_KEY`: in
development they are made at the first start and kept in `<data dir>/secrets.json` (mode 0600), which a container without a
volume would lose, and with it every API key. Changing the secret key makes all API keys, all tokens and all answers kept
under an `Idempotency-Key` invalid. 32 random bytes from the system are enough:

```
python3 -c 'import secrets; print(secrets.token_urlsafe(48))'
```
"""
_EXAMPLE = """# Every setting with its default; take the `#` off a line to change it. Copy this file to `.env`.
# Written by `python -m scripts.configuration`; docs/configuration.md has the same as a table.
"""


def names_of(name: str, field: FieldInfo) -> list[str]:
    """The environment variables of a setting, the one that wins first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [f"INSULA_{name.upper()}"]


def default_of(field: FieldInfo) -> str:
    """The default as one would write it in the environment; empty where there is none."""
    value: Any = field.default
    if value is None:
        return ""
    assert not isinstance(value, SecretStr), "a secret has no default"
    return str(value)


def page() -> str:
    """The text of docs/configuration.md."""
    rows = []
    for name, field in Settings.model_fields.items():
        names = "<br>".join(f"`{variable}`" for variable in names_of(name, field))
        default = f"`{default_of(field)}`" if default_of(field) else ""
        rows.append(f"| {names} | {default} | {field.description} |")
    return _PAGE.format(rows="\n".join(rows))


def example() -> str:
    """The text of .env.example."""
    lines = [_EXAMPLE]
    for name, field in Settings.model_fields.items():
        lines.append(f"# {field.description}\n# {names_of(name, field)[-1]}={default_of(field)}\n")
    return "\n".join(lines)


FILES = {ROOT / "docs" / "configuration.md": page, ROOT / ".env.example": example}


def main() -> int:
    """Write both files and say which changed."""
    for path, text in FILES.items():
        if not path.exists() or path.read_text() != text():
            path.write_text(text())
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
