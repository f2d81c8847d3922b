"""Amazon Web Services: what its services bill and can do, and ECS as documents. Deploying to it is not built yet."""
