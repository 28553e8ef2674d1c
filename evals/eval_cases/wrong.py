"""What is not as it must be."""


class Wrong(Exception):
    """A check has found something; the message says what."""
