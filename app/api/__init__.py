"""The doors for HTTP: routing, wiring, rendering; no decisions."""
