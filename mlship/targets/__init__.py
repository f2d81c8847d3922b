"""Where releases run: one file or folder a target."""
