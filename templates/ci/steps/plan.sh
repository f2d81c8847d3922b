set -eu
"$MLSHIP_VENV/bin/mlship" cache import "$MLSHIP_OUT/image.tar" --quiet
content=$(cat "$MLSHIP_OUT/content")
# what was proved in the stage before goes on; a cloud's job reaches one stage only, and goes by the content id
if [ -n "${MLSHIP_FROM:-}" ]; then set -- --from "$MLSHIP_FROM"; else set -- --image "$content"; fi
status=0
"$MLSHIP_VENV/bin/mlship" plan "$@" --out "$MLSHIP_OUT/$MLSHIP_PLAN" ${MLSHIP_ENV:+--env "$MLSHIP_ENV"} || status=$?
if [ "$status" = 12 ]; then
  echo "a canary waits in ${MLSHIP_FROM:-this stage}: promote or abort it by hand, then run this job again (docs/ci.md)" >&2
fi
if [ "$status" = 0 ] && ! grep -qF "\"$content\"" "$MLSHIP_OUT/$MLSHIP_PLAN"; then
  echo "$MLSHIP_FROM serves another image than this run has built: the run that built that one goes on with it" >&2
  status=14
fi
exit "$status"
