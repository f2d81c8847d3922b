"""What the locked-down child of a build does; `mlship.server.inspect` is its program."""
