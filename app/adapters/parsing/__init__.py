"""Parsers of untrusted files, run in a disposable child process, behind one port."""
