"""Version 1 of the native routes."""
