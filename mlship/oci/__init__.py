"""Images on disk, in registries and in engines: the bottom layer under image and releases."""
