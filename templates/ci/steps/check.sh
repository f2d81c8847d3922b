set -eu
"$MLSHIP_VENV/bin/mlship" check
