"""The edge: who may do what, decided before a byte of a request's body is read, and how a refusal reads."""
