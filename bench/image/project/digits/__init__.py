"""The project's own code: what only a user changes."""
