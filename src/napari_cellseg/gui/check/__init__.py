"""The dock that compares counts with a user's own."""
