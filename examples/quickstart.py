"""Upload a document, wait until it is ready, ask a question and print the streamed, cited answer.

Standard library only. Start the service with ``make run``, then: ``python examples/quickstart.py [file] [question]``.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "data" / "crew-handbook.pdf"
QUESTION = "How many weeks of parental leave on full pay does a parent have?"


class Insula:
    """The few calls that a first answer takes; ``credentials`` is the file that the service wrote when it started."""

    def __init__(self, credentials: Path) -> None:
        found = json.loads(credentials.read_text())
        self.url = f"{found['base_url']}/api/v1"
        self.headers = {"Authorization": f"Bearer {found['api_key']}"}

    def request(self, path: str, body: bytes | None = None, content_type: str = "application/json") -> Any:
        """Open a response; a refusal ends the program with the service's own words."""
        headers = self.headers | ({"Content-Type": content_type} if body else {})
        try:
            return urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers))  # noqa: S310 - our URL
        except urllib.error.HTTPError as refusal:
            sys.exit(json.load(refusal)["error"]["message"])

    def upload(self, file: Path) -> str:
        """Send a file; gives the document's id at once, while it is being processed."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        with self.request("/documents/upload", body, f"multipart/form-data; boundary={boundary}") as response:
            document = json.load(response)
        return str(document["id"])

    def wait(self, document_id: str) -> None:
        """Return when the document can be asked about."""
        while True:
            with self.request(f"/documents/{document_id}") as response:
                document = json.load(response)
            print(f"\r{document['name']}: {document['stage']} {document['progress']:.0%}   ", end="", flush=True)
            if document["status"] == "ready":
                print()
                return
            if document["status"] == "failed":
                sys.exit(f"\n{document['last_error']['message']}")
            time.sleep(0.2)

    def ask(self, question: str) -> Iterator[dict[str, Any]]:
        """The events of the answer, as they come."""
        body = json.dumps({"message": question, "stream_format": "events"}).encode()
        with self.request("/chat/stream", body) as response:
            for line in response:
                if line.startswith(b"data: {"):
                    yield json.loads(line.removeprefix(b"data: "))


def main() -> None:
    """Upload, wait, ask, print."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    question = sys.argv[2] if len(sys.argv) > 2 else QUESTION  # noqa: PLR2004 - the second argument
    insula = Insula(Path(os.environ.get("INSULA_DATA_DIR", "data")) / "credentials.json")
    insula.wait(insula.upload(file))
    for event in insula.ask(question):
        match event["type"]:
            case "text.delta":
                print(event["text"], end="", flush=True)
            case "citation.added":
                page = f", page {event['page']}" if event["page"] else ""
                print(f'\n  [{event["index"]}] {event["title"]}{page}: "{event["quote"]}"')
            case "run.failed":
                sys.exit(f"\n{event['error']['message']}")
    print()


if __name__ == "__main__":
    main()
