"""Requests that come as events: AWS Lambda's runtime API in the place of a socket."""
