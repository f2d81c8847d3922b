"""HTTP/1.1 as it is spoken on a connection; what a request means is not known here."""
