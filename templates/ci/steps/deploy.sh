set -eu
"$MLSHIP_VENV/bin/mlship" cache import "$MLSHIP_OUT/image.tar" --quiet
content=$(cat "$MLSHIP_OUT/content")
# what somebody approved is the plan: it is carried out as it stands, or not at all
if [ -n "${MLSHIP_PLAN:-}" ]; then set -- --plan "$MLSHIP_OUT/$MLSHIP_PLAN"; else set -- --image "$content"; fi
status=0
"$MLSHIP_VENV/bin/mlship" deploy "$@" --yes ${MLSHIP_ENV:+--env "$MLSHIP_ENV"} || status=$?
case $status in
  0) "$MLSHIP_VENV/bin/mlship" verify ${MLSHIP_ENV:+--env "$MLSHIP_ENV"} ; ended="is live" ;;
  12) ended="is a canary that waits: go on with promote, or take it back with abort; later stages wait for it (docs/ci.md)" ;;
  14) ended="was not put in service: something moved since its plan was made. Run the job of the plan again, and approve that one" ;;
  *) ended="was not put in service (exit $status); what served before serves on" ;;
esac
echo "$content $ended"
if [ "$status" != 12 ]; then exit "$status"; fi
