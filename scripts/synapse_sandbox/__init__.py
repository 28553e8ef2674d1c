"""A local stand-in for the Synapse backend: its routes and rules as far as they are known, and its bad days.

It imports nothing of `synapse_skills` and nothing there knows about it.
"""

from synapse_sandbox.errors import BadInput, SandboxError
from synapse_sandbox.server import Options, serve

__all__ = ["BadInput", "Options", "SandboxError", "serve"]
