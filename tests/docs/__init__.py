"""The documents: what they say holds, and the examples in them work."""
