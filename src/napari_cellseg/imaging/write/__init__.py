"""Files out: each is written whole or not at all."""
