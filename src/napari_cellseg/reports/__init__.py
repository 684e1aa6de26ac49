"""HTML pages and diagrams of results."""
