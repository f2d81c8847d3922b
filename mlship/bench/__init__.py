"""Load against a running server: how long an answer takes, how many come a second, and what is kept of that."""
