"""Machinery: a question becomes numbered passages."""
