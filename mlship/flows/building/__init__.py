"""The parts of `mlship build`."""
