"""Vertex AI: one endpoint a project and environment, one version of one model a release, callers shared by whole percents."""
