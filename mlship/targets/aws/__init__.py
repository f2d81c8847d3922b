"""Amazon Web Services: what its services share. Each of them is a folder: ECS, SageMaker, Lambda."""
