"""Routes of every server, whatever protocols it speaks: health, release, schema, OpenAPI, a page for people."""
