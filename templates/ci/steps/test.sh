set -eu
status=0
"$MLSHIP_VENV/bin/mlship" test --junit "$MLSHIP_OUT/tests.xml" > "$MLSHIP_OUT/test.txt" || status=$?
cat "$MLSHIP_OUT/test.txt"
exit "$status"
