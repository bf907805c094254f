"""The oracle's memory: what the service acknowledged, kept outside of it, and the files that were sent."""

import hashlib
import os
import random
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson

_WORDS = str.split(
    "harbour lantern orchard granite ledger meadow copper violin saddle thunder willow anchor barley cinder dune ember "
    "falcon glacier hollow island jasmine kettle lagoon marble nectar otter pepper quarry river summit timber umber "
    "valley walnut yarrow zephyr bridge candle drift engine forest gather hammer inland journey kernel ladder mirror"
)


@dataclass(frozen=True)
class Ack:
    """A document that the service took over."""

    id: str
    name: str
    sha256: str


class Ledger:
    """An append-only file of acknowledgements, synced line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._doomed = path.with_suffix(".doomed")
        self._path.touch()
        self._doomed.touch()

    def acks(self) -> list[Ack]:
        """Every acknowledged upload that was not to be deleted again, in order."""
        doomed = self.doomed()
        acks = [Ack(**orjson.loads(line)) for line in self._path.read_bytes().splitlines()]
        return [ack for ack in acks if ack.id not in doomed]

    def doomed(self) -> set[str]:
        """The ids of the documents whose deletion was asked for, whether or not the service got to hear of it."""
        return set(self._doomed.read_text().split())

    def delete(self, client: httpx.Client, document_id: str) -> bool:
        """Write down that a document may be gone, then delete it; whether the service says that it is gone."""
        with self._doomed.open("a") as file:
            file.write(document_id + "\n")
        try:
            return client.delete(f"documents/{document_id}").status_code in {200, 404}
        except httpx.TransportError:
            return False

    def upload(self, client: httpx.Client, name: str, content: bytes) -> bool:
        """Upload a file, and write it down if the service says that it has it; whether it did.

        Where the connection broke, the service may have the file or not: both are right, half of it is not.
        """
        try:
            response = client.post("documents/upload", files={"file": (name, content)})
        except httpx.TransportError:
            return False
        if response.status_code != 202:
            return False
        ack = {"id": response.json()["id"], "name": name, "sha256": hashlib.sha256(content).hexdigest()}
        with self._path.open("ab") as file:
            file.write(orjson.dumps(ack) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return True


def make_files(count: int, *, seed: int, sections: int) -> dict[str, bytes]:
    """Markdown files of about ``sections`` chunks each, the same for the same seed."""
    dice = random.Random(seed)

    def section(number: int) -> str:
        sentences = (" ".join(dice.choices(_WORDS, k=dice.randint(8, 14))).capitalize() + "." for _ in range(10))
        return f"## Part {number}\n\n{' '.join(sentences)}\n"

    return {
        f"file-{index}.md": "\n".join(
            [f"# File {index}\n", *(section(part) for part in range(dice.randint(sections // 2, sections * 3 // 2)))]
        ).encode()
        for index in range(count)
    }
