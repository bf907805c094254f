"""Machinery: a file becomes searchable chunks, in named stages."""
