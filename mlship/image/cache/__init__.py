"""What mlship keeps for the next build: its sizes, what of it nobody needs any more, and how it goes to another machine."""
