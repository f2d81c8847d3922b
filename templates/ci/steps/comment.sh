set -eu
"$MLSHIP_VENV/bin/mlship" ci "$MLSHIP_SYSTEM" --comment "$MLSHIP_OUT/report.md"
