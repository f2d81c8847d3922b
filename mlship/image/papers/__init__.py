"""An image's papers: what is in it, read from its own layers, as SPDX and CycloneDX."""
