"""The lock check sees a missing pin, a wrong version, a missing hash and any address."""

import pytest

from scripts.check_locks import differences, pins, problems

LOCK = """\
# made by a tool
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:bb
typing-extensions==4.16.0 \\
    --hash=sha256:cc
"""


def test_pins_are_read_with_every_version() -> None:
    assert pins(LOCK) == {"numpy": {"2.4.6", "2.5.5"}, "typing-extensions": {"4.16.0"}}


@pytest.mark.parametrize("requirement", ["numpy>=2.4,<3", "typing_extensions", "Typing.Extensions==4.16.0"])
def test_what_is_locked_satisfies(requirement: str) -> None:
    assert problems("lock", LOCK, [requirement]) == []


@pytest.mark.parametrize("requirement", ["numpy>=3", "orjson", "typing-extensions<4.16"])
def test_what_is_not_locked_is_named(requirement: str) -> None:
    [problem] = problems("lock", LOCK, [requirement])
    assert "is not what is locked" in problem


def test_a_pin_without_a_hash_is_named() -> None:
    assert problems("lock", "orjson==3.13.0\n", []) == ["lock: no hash for orjson==3.13.0"]


@pytest.mark.parametrize(
    "line", ["--index-url https://index.example/simple", "--find-links /var/wheels", "orjson @ file:///var/orjson.whl"]
)
def test_an_address_is_named(line: str) -> None:
    [problem] = problems("lock", LOCK + line + "\n", [])
    assert "an address or an option" in problem


def test_the_dev_lock_must_hold_the_runtime_lock() -> None:
    assert differences("orjson==3.13.0\n", "orjson==3.12.0\n") == ["dev.txt: orjson differs from runtime.txt"]
    assert differences("orjson==3.13.0\n", "orjson==3.13.0\nruff==1\n") == []
