#!/usr/bin/env bash
# stage_case.sh CASE SECONDS: writes the world of a case into ./world and starts its backend, which ends after so long.
set -euo pipefail
evals="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
python3 "$evals/world.py" "$1" "$PWD/world" >/dev/null
python3 "$evals/stage.py" "$PWD/world" --for "$2" >/dev/null
# The login and the folder of environments reach the commands of the agent this way.
mkdir -p .claude
python3 - "$PWD/world/env.sh" >.claude/settings.json <<'PYTHON'
import json, shlex, sys
words = [shlex.split(line) for line in open(sys.argv[1], encoding="utf-8")]
print(json.dumps({"env": dict(word[1].split("=", 1) for word in words if word[0] == "export")}))
PYTHON
