"""One file a noun; every endpoint is a few lines around one service call."""
