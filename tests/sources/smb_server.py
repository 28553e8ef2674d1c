"""A Samba server of two users for the tests: everything that it writes lies in one folder, nothing in the system's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sources.trees import LocalTree

PASSWORD = "a-very-long-password"
SHARE = "data"
OTHER = "nobody"
"""A user whom the system knows, and who may not read what is root's alone."""
_CONF = """
[global]
server role = standalone server
workgroup = WORKGROUP
smb ports = {port}
interfaces = 127.0.0.1
bind interfaces only = yes
disable netbios = yes
disable spoolss = yes
load printers = no
log level = 0
log file = {folder}/log
passdb backend = tdbsam:{folder}/passdb.tdb
private dir = {folder}/p
lock directory = {folder}/l
state directory = {folder}/s
cache directory = {folder}/c
pid directory = {folder}/i
ncalrpc dir = {folder}/n
usershare path =

[{share}]
path = {folder}/files
read only = no
case sensitive = yes
mangled names = {mangled}

[closed]
path = {folder}/files
valid users = root
"""


def why_not() -> str:
    """Why no server can be started here; '' if one can."""
    if shutil.which("smbd") is None or shutil.which("smbpasswd") is None:
        return "needs Debian's samba: smbd and smbpasswd"
    return "" if os.geteuid() == 0 else "only root may give smbd its users"


class SmbTree(LocalTree):
    """Files in a folder of the share."""

    def __init__(self, server: SmbServer, below: str) -> None:
        super().__init__(server.root / below)
        self.url = f"smb://127.0.0.1:{server.port}/{SHARE}/{below}"


class SmbServer:
    """Started and stopped by its id.

    Attributes:
        root: the folder that the share shows.
    """

    def __init__(self, folder: Path, mangled: str) -> None:
        self.root = folder / "files"
        for name in ("files", *"plscin"):
            (folder / name).mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._conf = folder / "smb.conf"
        self._conf.write_text(_CONF.format(port=self.port, folder=folder, share=SHARE, mangled=mangled))
        for user in ("root", OTHER):
            subprocess.run(
                ["smbpasswd", "-c", str(self._conf), "-L", "-s", "-a", user],
                input=f"{PASSWORD}\n{PASSWORD}\n",
                text=True,
                check=True,
                capture_output=True,
            )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["smbd", "--foreground", "--no-process-group", f"--configfile={self._conf}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Its end is the end of its whole process group, which must not be that of the tests.
            start_new_session=True,
        )
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def pause(self, *, going: bool) -> None:
        """Neither gone nor answering; `going` ends that."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT if going else signal.SIGSTOP)

    def stop(self) -> None:
        """The server, and with it those that it has started for each connection."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None


@contextmanager
def smb_server(mangled: str = "no") -> Iterator[SmbServer]:
    """The server, and an environment in which its user is logged in."""
    if why := why_not():
        pytest.skip(why)
    # Not in the tests' own folder: users other than root have to get there, and the paths of its sockets are short.
    with tempfile.TemporaryDirectory(prefix="smb-") as folder:
        Path(folder).chmod(0o755)
        server = SmbServer(Path(folder), mangled)
        server.start()
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("SYNAPSE_SMB_USERNAME", "root")
                patch.setenv("SYNAPSE_SMB_PASSWORD", PASSWORD)
                yield server
        finally:
            server.stop()
