set -eu
mkdir -p "$MLSHIP_OUT"
"$MLSHIP_VENV/bin/mlship" cache import "$MLSHIP_OUT/image.tar" --quiet
content=$(cat "$MLSHIP_OUT/content")
failed=0
printf '## mlship: %s\n\nImage `%s`, for `%s`\n' "$MLSHIP_PROJECT" "$content" "${MLSHIP_ENV:-the only stage}" > "$MLSHIP_OUT/report.md"
# indented: whatever a command says stays text in the comment
said() {
  title=$1
  shift
  printf '\n### %s\n\n' "$title" >> "$MLSHIP_OUT/report.md"
  "$MLSHIP_VENV/bin/mlship" "$@" ${MLSHIP_ENV:+--env "$MLSHIP_ENV"} > "$MLSHIP_OUT/said" 2> "$MLSHIP_OUT/errors" || failed=$?
  cat "$MLSHIP_OUT/errors" >&2
  sed 's/^/    /' "$MLSHIP_OUT/said" >> "$MLSHIP_OUT/report.md"
  grep -E '^(error|  (where|fix) )' "$MLSHIP_OUT/errors" | sed 's/^/    /' >> "$MLSHIP_OUT/report.md" || true
}
for part in Tests:test Bench:bench; do
  if [ -s "$MLSHIP_OUT/${part#*:}.txt" ]; then
    printf '\n### %s\n\n' "${part%:*}" >> "$MLSHIP_OUT/report.md"
    sed 's/^/    /' "$MLSHIP_OUT/${part#*:}.txt" >> "$MLSHIP_OUT/report.md"
  fi
done
said Plan plan --image "$content"
said Cost cost-estimate
said "Change of predictions" test --only change --image "$content"
rm -f "$MLSHIP_OUT/said" "$MLSHIP_OUT/errors"
cat "$MLSHIP_OUT/report.md"
exit "$failed"
