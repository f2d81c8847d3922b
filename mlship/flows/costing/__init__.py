"""The parts of `mlship cost-estimate`."""
