"""The operating system's half of an image: signed archives, .deb files, the base."""
