"""Where a model comes from besides a path."""
