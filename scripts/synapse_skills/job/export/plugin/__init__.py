"""An export as a plugin of Synapse: its SDK drives record by record, and the engine of every export does the work.

Imports synapse-sdk's own classes, so that only a plugin's page imports it.
"""

from synapse_skills.job.export.plugin.actions import RecordsAction, Reported
from synapse_skills.job.export.plugin.exporter import RecordsExporter
from synapse_skills.job.export.plugin.handler import RecordsHandler, register
from synapse_skills.job.export.plugin.params import PlannedParams
from synapse_skills.job.export.plugin.run import PluginFailed, Run
from synapse_skills.job.export.plugin.steps import ConvertStep, FetchStep, OpenStep, WriteStep

__all__ = [
    "ConvertStep",
    "FetchStep",
    "OpenStep",
    "PlannedParams",
    "PluginFailed",
    "RecordsAction",
    "RecordsExporter",
    "RecordsHandler",
    "Reported",
    "Run",
    "WriteStep",
    "register",
]
