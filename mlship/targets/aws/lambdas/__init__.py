"""Lambda: a function from the image, a published version for each release, an alias whose weights are the callers' shares."""
