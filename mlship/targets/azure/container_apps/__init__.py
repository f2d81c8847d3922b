"""Container Apps: one app a project, a revision a release."""
