"""Menu entries, samples, writers and the demo."""
