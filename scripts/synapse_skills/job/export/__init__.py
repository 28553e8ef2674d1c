"""The engine of an export: fetch, understand, write, originals, verify."""
