"""What `run.py` does before Python 3.12 and the dependencies are there: standard library and Python 3.6 only.

It knows nothing of the library behind the scripts, and nothing in the library knows it.
"""
