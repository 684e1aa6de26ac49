"""Long work in a child process."""
