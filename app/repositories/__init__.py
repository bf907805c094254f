"""Queries, one file a noun; every statement starts scoped to a tenant."""
