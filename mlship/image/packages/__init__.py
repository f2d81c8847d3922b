"""The Python half of an image: training environment, indexes, resolution, wheels."""
