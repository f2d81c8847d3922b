"""Managed online endpoints of Azure Machine Learning: a deployment for each release behind one endpoint of a workspace."""
