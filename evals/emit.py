"""Write evals.json of each skill and the suite for claude plugin eval, from the cases."""

from start import start

if __name__ == "__main__":
    start("emit")
