"""Insula: a multi-tenant backend for agents that answer from each tenant's own documents."""

__version__ = "0.1.0"
