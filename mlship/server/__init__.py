"""The program inside the image; closed: it imports itself and its own few packages, nothing else of mlship."""
