"""Bases that somebody else made: an image of a registry, read and judged before anything is made on it."""
