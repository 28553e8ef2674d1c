"""Write the world of a case into a folder: world.py CASE DIR. Without arguments it lists the cases."""

from start import start

if __name__ == "__main__":
    start("world")
