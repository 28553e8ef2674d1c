"""The cluster: what may be submitted, submitting it, and what becomes of it, through Ray and the synapse CLI."""

from synapse_skills.cluster.agent import Agent, agent
from synapse_skills.cluster.ending import Ended, bring_home, look, wait
from synapse_skills.cluster.gate import Gate, gate
from synapse_skills.cluster.places import Refusal
from synapse_skills.cluster.probe import Listing, check_on_agent, files_on_agent, list_on_agent
from synapse_skills.cluster.ray_jobs import JobInfo, RayJobs
from synapse_skills.cluster.submission import JobHome, Submission
from synapse_skills.cluster.submit import submit, submit_job

__all__ = [
    "Agent",
    "Ended",
    "Gate",
    "JobHome",
    "JobInfo",
    "Listing",
    "RayJobs",
    "Refusal",
    "Submission",
    "agent",
    "bring_home",
    "check_on_agent",
    "files_on_agent",
    "gate",
    "list_on_agent",
    "look",
    "submit",
    "submit_job",
    "wait",
]
