set -eu
mkdir -p "$MLSHIP_OUT"
"$MLSHIP_VENV/bin/mlship" build --locked --quiet > "$MLSHIP_OUT/content"
# one file with the image: what is tested here is what every stage serves, by content id
"$MLSHIP_VENV/bin/mlship" cache export "$MLSHIP_OUT/image.tar"
cat "$MLSHIP_OUT/content"
