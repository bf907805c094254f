"""Wire shapes, one noun a file."""
