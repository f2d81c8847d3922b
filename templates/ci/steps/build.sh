set -eu
mkdir -p "$MLSHIP_OUT"
"$MLSHIP_VENV/bin/mlship" build --locked --quiet > "$MLSHIP_OUT/content"
cat "$MLSHIP_OUT/content"
