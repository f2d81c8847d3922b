"""Google Cloud: what its services bill and can do. Deploying to it is not built yet."""
