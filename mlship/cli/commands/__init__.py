"""One file a command; each has a function `command`, whose parameters are the command's own options."""
