"""The dock for corrections and review."""
