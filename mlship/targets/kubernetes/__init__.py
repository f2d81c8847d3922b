"""A Kubernetes cluster: what its nodes bill and what its services can do. Deploying to it is not built yet."""
