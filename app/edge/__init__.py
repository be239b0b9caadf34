"""The edge: authentication, limits and errors, before a byte of a request's body is read."""
