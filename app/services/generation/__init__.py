"""Machinery: passages and a conversation become an answer, as numbered events."""
