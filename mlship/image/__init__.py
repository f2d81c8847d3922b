"""(Project, ModelSpecs) -> BuildPlan -> Image."""
