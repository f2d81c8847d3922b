"""What was served, what is served, and what may be served again."""
