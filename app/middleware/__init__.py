"""Pure ASGI, one class a file: what every request passes through."""
