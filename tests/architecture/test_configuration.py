"""The table of settings and the example file say what the settings are."""

import os
from pathlib import Path

import pytest

from app.core.config import Settings
from scripts.configuration import FILES, default_of, names_of


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_written_is_so(path: Path) -> None:
    assert path.read_text() == FILES[path](), "run: .venv/bin/python -m scripts.configuration"


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_defaults_that_are_written_mean_what_the_defaults_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in list(os.environ):
        if variable.startswith(("INSULA_", "ANTHROPIC_", "OPENAI_")):
            monkeypatch.delenv(variable)
    written = "\n".join(
        f"{names_of(name, field)[-1]}={default_of(field)}" for name, field in Settings.model_fields.items()
    )
    (tmp_path / "example").write_text(written)
    assert Settings(_env_file=tmp_path / "example") == Settings(_env_file=None)
