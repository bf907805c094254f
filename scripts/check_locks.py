"""Checks offline that requirements/*.txt still say what pyproject.toml asks for, by hash and without any address."""

import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_ADDRESS = re.compile(r"https?:|file:|^\s*--(?!hash)|(?<![\w])/[a-z]+/")


def pins(text: str) -> dict[str, set[str]]:
    """Name to the versions pinned (several where they depend on the platform)."""
    result: dict[str, set[str]] = defaultdict(set)
    for line in text.splitlines():
        if match := _PIN.match(line):
            result[canonicalize_name(match["name"])].add(match["version"])
    return result


def unhashed(text: str) -> list[str]:
    """The pinned lines that no hash follows."""
    lines = text.splitlines()
    return [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if _PIN.match(line) and "--hash=sha256:" not in following
    ]


def problems(lock: str, text: str, requirements: list[str]) -> list[str]:
    """What is wrong with one lock file."""
    locked = pins(text)
    result = []
    for requirement in map(Requirement, requirements):
        versions = locked.get(canonicalize_name(requirement.name), set())
        if not any(requirement.specifier.contains(version, prereleases=True) for version in versions):
            result.append(f"{lock}: {requirement} is not what is locked ({', '.join(sorted(versions)) or 'nothing'})")
    result += [f"{lock}: no hash for {line}" for line in unhashed(text)]
    body = (line for line in text.splitlines() if not line.startswith("#"))
    result += [f"{lock}: an address or an option in {line.strip()!r}" for line in body if _ADDRESS.search(line)]
    return result


def differences(runtime: str, dev: str) -> list[str]:
    """What is in the runtime lock and is another version, or missing, in the dev lock."""
    of_dev = pins(dev)
    return [
        f"dev.txt: {name} differs from runtime.txt"
        for name, versions in pins(runtime).items()
        if of_dev.get(name) != versions
    ]


def check(root: Path) -> list[str]:
    """Everything that is wrong with the locks of a repository."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    runtime, dev, tool = (
        (root / "requirements" / name).read_text(encoding="utf-8") for name in ("runtime.txt", "dev.txt", "uv.txt")
    )
    needed, groups = project["project"]["dependencies"], project["dependency-groups"]
    return [
        *problems("runtime.txt", runtime, needed),
        *problems("dev.txt", dev, needed + groups["dev"]),
        *problems("uv.txt", tool, (root / "requirements" / "uv.in").read_text(encoding="utf-8").split()),
        *differences(runtime, dev),
    ]


def main() -> int:
    """Print each problem; 1 where there is any."""
    found = check(ROOT)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
