"""Where a model comes from: each gives files and their sha256."""
