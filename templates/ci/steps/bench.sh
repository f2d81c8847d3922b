set -eu
status=0
"$MLSHIP_VENV/bin/mlship" bench --built --seconds 1 > "$MLSHIP_OUT/bench.txt" || status=$?
cat "$MLSHIP_OUT/bench.txt"
# that no rate keeps slo.p99 here is told and fails nothing: a stage's machine is another one
if [ "$status" != 11 ]; then exit "$status"; fi
