"""Agreement of automatic counts with manual ones."""
