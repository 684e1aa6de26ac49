"""The dock that segments and counts."""
