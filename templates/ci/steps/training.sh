set -eu
# the packages that the model was trained with; none where build.requirements names another tool's file, which mlship reads itself
if [ -n "$MLSHIP_REQUIREMENTS" ]; then
  python3 -m venv .venv
  printf '*\n' > .venv/.gitignore
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$MLSHIP_REQUIREMENTS"
fi
