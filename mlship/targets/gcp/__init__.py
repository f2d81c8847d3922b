"""Google Cloud: what its services share. Each of them is a folder: Cloud Run, Vertex AI."""
