"""API keys on their way into a header."""


def header_safe_key(api_key: str) -> str:
    """The key without surrounding white space (a key read from a file ends in a newline).

    Raises ValueError, which does not show the key, where it holds what no header takes.
    """
    key = api_key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError("the API key is empty or holds characters that no HTTP header takes")
    return key
