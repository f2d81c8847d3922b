"""mlship.yaml -> Project."""
