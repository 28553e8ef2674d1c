"""A local stand-in for the Synapse backend: its routes and rules as far as they are known, and its bad days.

It imports nothing of `synapse_skills` and nothing there knows about it. What it holds at first is a seed (`seed`), what
nobody knows about the real one is a switch (`settings`), bad days are rules (`faults`), and the people who label are
routes of its own (`labels`).
"""

from synapse_sandbox.errors import BadInput, SandboxError
from synapse_sandbox.server import Options, serve

__all__ = ["BadInput", "Options", "SandboxError", "serve"]
