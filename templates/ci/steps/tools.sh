set -eu
# mlship in an environment of its own: it reads the one that trained the model, and never changes it
python3 -m venv "$MLSHIP_VENV"
printf '*\n' > "$MLSHIP_VENV/../.gitignore"
"$MLSHIP_VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$MLSHIP_PACKAGE"
"$MLSHIP_VENV/bin/mlship" --version
