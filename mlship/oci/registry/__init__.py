"""The client of container registries: the OCI distribution protocol over HTTP."""
