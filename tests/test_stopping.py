"""A script that is told to stop, and again at any moment until its process has gone: one exit code, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
# A process of its own, because the last moments are those of the interpreter itself.
SCRIPT = """
import atexit, os, signal, sys, threading, time
from synapse_skills.errors import run

WHERE, NUMBER, FIRST = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "twice"

def stop():
    os.kill(os.getpid(), NUMBER)
    time.sleep(0)

class Spoken:
    # What is said last is said here.
    def __init__(self, stream): self.stream = stream
    def write(self, text):
        if WHERE == "saying": stop()
        return self.stream.write(text)
    def flush(self): self.stream.flush()

class Torn:
    # Taken apart long after Python has given the signals back.
    def __del__(self):
        if WHERE == "torn down": stop()

torn = Torn()
def in_the_end():
    if WHERE == "atexit": stop()

def late():
    threading.main_thread().join()
    if WHERE == "thread": stop()

def main(argv):
    atexit.register(in_the_end)
    threading.Thread(target=late).start()
    print("done")
    if FIRST: stop()
    return 5

sys.stderr = Spoken(sys.stderr)
code = run(main)
if WHERE == "told": stop()
sys.exit(code)
"""
ENV = {**os.environ, "PYTHONPATH": str(SCRIPTS)}


def end_of(where: str, number: int, how: str) -> tuple[int, str, str]:
    command = [sys.executable, "-S", "-c", SCRIPT, where, str(int(number)), how]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("where", ["saying", "told", "thread", "atexit", "torn down"])
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.heavy)])
def test_stopped_twice(where: str, number: int) -> None:
    code, out, error = end_of(where, number, "twice")
    assert code == 130, (code, out, error)
    assert "Traceback" not in error and "Exception" not in error, error


@pytest.mark.parametrize("where", ["told", "thread", "atexit", "torn down"])
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.heavy)])
def test_stopped_when_all_is_done(where: str, number: int) -> None:
    """What has been done is told as what it came to, and what was printed has been printed."""
    code, out, error = end_of(where, number, "once")
    assert (code, out, error) == (5, "done\n", "")
