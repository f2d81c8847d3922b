"""One file a command; each reads as a checklist of the data steps in docs/design.md."""
