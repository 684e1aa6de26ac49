"""The dock that segments a folder."""
