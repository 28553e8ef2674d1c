"""Bring files into Synapse and take annotations out, with nothing lost on the way."""

__version__ = "0.1.0"
