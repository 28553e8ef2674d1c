"""The tables of the ledger."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger_info(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unit(
  key TEXT PRIMARY KEY, state TEXT NOT NULL, prints TEXT, basis TEXT, batch TEXT, server_id INTEGER,
  run INTEGER NOT NULL DEFAULT 0, matched INTEGER NOT NULL DEFAULT 0, reason TEXT,
  task_id INTEGER, task_batch TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unit_batch ON unit(batch) WHERE batch IS NOT NULL;
CREATE INDEX IF NOT EXISTS unit_server ON unit(server_id) WHERE server_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS batch(
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, floor INTEGER NOT NULL, sent_at REAL NOT NULL, state TEXT NOT NULL,
  units INTEGER NOT NULL, up TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS confirmed(
  source INTEGER, path TEXT, size INTEGER, mtime_ns INTEGER, checksum TEXT, target TEXT NOT NULL DEFAULT '',
  PRIMARY KEY(source, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS server_unit(
  id INTEGER PRIMARY KEY, path_print TEXT, meta_print TEXT, checksum_print TEXT, groups_print TEXT,
  taken INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS server_path ON server_unit(path_print);
CREATE INDEX IF NOT EXISTS server_meta ON server_unit(meta_print);
CREATE INDEX IF NOT EXISTS server_checksum ON server_unit(checksum_print);
"""
