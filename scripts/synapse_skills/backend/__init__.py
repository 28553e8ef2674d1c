"""The Synapse backend: reads that everyone needs, transfers, and sends that happen exactly once."""

from synapse_skills.backend.api import Answer, Api
from synapse_skills.backend.backend import Backend, Collection, parse_collection
from synapse_skills.backend.login import Login, login
from synapse_skills.backend.pace import Pace
from synapse_skills.backend.stopping import stoppable
from synapse_skills.backend.transfer import Confirmed, Ticket, Transfer, TransferFailed

__all__ = [
    "Answer",
    "Api",
    "Backend",
    "Collection",
    "Confirmed",
    "Login",
    "Pace",
    "Ticket",
    "Transfer",
    "TransferFailed",
    "login",
    "parse_collection",
    "stoppable",
]
