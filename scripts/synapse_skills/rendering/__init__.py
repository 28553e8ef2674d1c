"""A plan → its job folder: the script, the library it runs on, and what it needs."""

from synapse_skills.rendering.folder import is_edited
from synapse_skills.rendering.job import Rendered, library_files, render_file, render_job
from synapse_skills.rendering.place import place_of
from synapse_skills.rendering.script import render_script

__all__ = ["Rendered", "is_edited", "library_files", "place_of", "render_file", "render_job", "render_script"]
