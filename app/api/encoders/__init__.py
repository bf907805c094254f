"""How run events look on the wire, one format a file."""
