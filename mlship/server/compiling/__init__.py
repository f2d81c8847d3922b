"""A fitted model -> what computes the same by numpy alone, and the proof of it; in the locked-down child of a build."""
