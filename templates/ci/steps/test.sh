set -eu
"$MLSHIP_VENV/bin/mlship" test --junit "$MLSHIP_OUT/tests.xml"
