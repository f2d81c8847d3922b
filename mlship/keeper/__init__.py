"""State, lease and probes beside an engine; closed: standard library only, imports only itself."""
