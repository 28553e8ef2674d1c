"""Grade what has become of a world: grade.py CASE DIR. Exit 0 all expectations met, 1 some are not."""

from start import start

if __name__ == "__main__":
    start("grade")
