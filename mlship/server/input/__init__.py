"""From the bytes of a body to what the model is called with: formats, checks, containers."""
