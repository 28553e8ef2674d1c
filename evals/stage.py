"""Start what a world needs (backend, storage, what happened before): stage.py DIR; stop it: stage.py DIR --stop."""

from start import start

if __name__ == "__main__":
    start("stage")
