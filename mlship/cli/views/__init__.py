"""What people see, one file a command: pure functions from a flow's result to text."""
