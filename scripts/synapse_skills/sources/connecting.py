"""From an address to an open place: which class, with which login.

Clients are imported only for the kind that is there: botocore alone takes a third of a second.
"""

from __future__ import annotations

from typing import Literal

from synapse_skills.sources.address import STORAGE, Address
from synapse_skills.sources.remote import Remote

Purpose = Literal["read", "write"]


def connect(address: Address, purpose: Purpose = "read") -> Remote:
    """Open a place with the login of the usual places, or of a storage session.

    Raises:
        Fault: no login. OutOfReach, FindingError: of a storage: not there, not supported, the backend is away.
    """
    if address.kind == STORAGE:
        from synapse_skills.sources.sessions import Storage

        return Storage(address, purpose)
    if address.kind == "s3":
        from synapse_skills.sources import s3

        return s3.S3(address, s3.login_from_environment())
    if address.kind == "gs":
        from synapse_skills.sources import gcs

        return gcs.Gcs(address, gcs.login_from_environment())
    if address.kind == "sftp":
        from synapse_skills.sources import sftp

        return sftp.Sftp(address, sftp.login_from_environment())
    if address.kind == "smb":
        from synapse_skills.sources import smb

        return smb.Smb(address, smb.login_from_environment(address))
    if address.kind in ("http", "https"):
        from synapse_skills.sources import http

        return http.Http(address, http.login_from_environment())
    from synapse_skills.sources.memory import Memory

    return Memory(address)


def login_of(address: Address) -> str:
    """Which login `connect` would use, in words; no place is asked.

    Raises:
        Fault: `login`: there is none.
    """
    if address.kind == STORAGE:
        return f"storage:{address.host}"
    if address.kind == "s3":
        from synapse_skills.sources import s3

        return s3.login_from_environment().credentials
    if address.kind == "gs":
        from synapse_skills.sources import gcs

        return gcs.login_from_environment().credentials
    if address.kind == "sftp":
        from synapse_skills.sources import sftp

        return sftp.login_from_environment().credentials
    if address.kind == "smb":
        from synapse_skills.sources import smb

        return smb.login_from_environment(address).credentials
    if address.kind in ("http", "https"):
        from synapse_skills.sources import http

        return http.login_from_environment().credentials
    return "none"
