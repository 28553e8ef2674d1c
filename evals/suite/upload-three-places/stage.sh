#!/usr/bin/env bash
# Made by emit.py.
exec bash "$(dirname "${BASH_SOURCE[0]}")/../../stage_case.sh" upload-three-places 1800
