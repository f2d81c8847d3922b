"""serve.auth: who may call, by API keys and JSON Web Tokens."""
