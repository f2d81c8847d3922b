"""This machine as a target: the image's own files and interpreter, no container engine."""
