"""One file a noun; a task takes a job id and calls one service."""
