"""Wire formats: each file translates routes and bodies to the core and back, and decides nothing."""
