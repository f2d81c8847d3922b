"""Bytes on disk -> a model that predicts: one file a framework."""
