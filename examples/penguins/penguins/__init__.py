"""The project's own code: part of the model, because the pipeline cannot be loaded without it."""
