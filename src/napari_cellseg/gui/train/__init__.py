"""The dock that trains models."""
