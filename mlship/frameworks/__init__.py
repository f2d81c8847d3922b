"""Model files -> ModelSpec: one file a framework."""
