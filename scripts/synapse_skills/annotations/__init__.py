"""Annotations: a record's payload, in whatever shape it comes, read into one internal model."""
