"""Our own rules: small checks over the syntax tree, each with a lesson in its message and an escape that asks why."""
