"""Edge of the service: access control before a byte of a request's body is read, compression, and problem answers."""
