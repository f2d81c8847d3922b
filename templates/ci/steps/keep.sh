set -eu
# one file with the image and what was learned of it: what is tested here is what every stage serves, by content id
"$MLSHIP_VENV/bin/mlship" cache export "$MLSHIP_OUT/image.tar"
