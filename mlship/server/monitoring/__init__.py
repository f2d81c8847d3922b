"""What a server says of its work: events, the access log, metrics. Never a payload."""
