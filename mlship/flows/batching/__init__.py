"""One file of rows in, one of answers out: the parts of `mlship batch`."""
