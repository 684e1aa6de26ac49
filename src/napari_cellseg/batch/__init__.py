"""Many images: read ahead, segment, write, resume."""
