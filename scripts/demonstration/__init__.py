"""The demos, less their command lines."""
