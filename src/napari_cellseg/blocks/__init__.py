"""One image larger than memory, segmented block by block."""
