"""The content types that we parse, by their canonical names, and the file extensions that claim them."""

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML = "text/html"
MARKDOWN = "text/markdown"
PLAIN = "text/plain"
CSV = "text/csv"

PARSED = (PDF, DOCX, HTML, MARKDOWN, PLAIN, CSV)

TEXT_EXTENSIONS = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".mdx": MARKDOWN,
    ".csv": CSV,
    ".tsv": CSV,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
}
"""Which text kind a name chooses; every other name of a text file means plain text."""

CLAIMS_PLAIN_TEXT = frozenset(
    {".txt", ".text", ".log", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".rst", ".vtt", ".srt"}
)
"""Names that promise text without choosing a kind: a binary file under such a name is a lie."""

BINARY_EXTENSIONS = {".pdf": PDF, ".docx": DOCX}
"""Which binary kind a name claims; the content must be of it."""

DECLARED_TEXT = {
    "text/markdown": MARKDOWN,
    "text/x-markdown": MARKDOWN,
    "text/csv": CSV,
    "text/tab-separated-values": CSV,
    "text/html": HTML,
    "application/xhtml+xml": HTML,
}
"""What a declared type chooses among the text kinds where the name has no extension."""
