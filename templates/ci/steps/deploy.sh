set -eu
"$MLSHIP_VENV/bin/mlship" cache import "$MLSHIP_OUT/image.tar" --quiet
content=$(cat "$MLSHIP_OUT/content")
status=0
"$MLSHIP_VENV/bin/mlship" deploy --image "$content" --yes ${MLSHIP_ENV:+--env "$MLSHIP_ENV"} || status=$?
case $status in
  0) "$MLSHIP_VENV/bin/mlship" verify ${MLSHIP_ENV:+--env "$MLSHIP_ENV"} ; ended="is live" ;;
  12) ended="is a canary that waits: go on with promote, or take it back with abort (docs/ci.md)" ;;
  *) ended="was not put in service (exit $status); what served before serves on" ;;
esac
echo "$content $ended"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then printf '`%s` %s\n' "$content" "$ended" >> "$GITHUB_STEP_SUMMARY"; fi
if [ "$status" != 12 ]; then exit "$status"; fi
