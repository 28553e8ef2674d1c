#!/usr/bin/env bash
# Made by emit.py.
exec bash "$(dirname "${BASH_SOURCE[0]}")/../../stage_case.sh" export-everything-goes-wrong 1800
