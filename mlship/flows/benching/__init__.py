"""The parts of `mlship bench`."""
