set -eu
case $MLSHIP_ACTION in
  rollback)
    set -- rollback --yes --reason "by hand, in CI"
    if [ -n "${MLSHIP_RELEASE:-}" ]; then set -- "$@" --to "$MLSHIP_RELEASE"; fi
    ;;
  promote) set -- promote --yes ;;
  abort) set -- abort --yes ;;
  *)
    echo "there is no action of this name; one of: rollback, promote, abort" >&2
    exit 2
    ;;
esac
"$MLSHIP_VENV/bin/mlship" "$@" ${MLSHIP_ENV:+--env "$MLSHIP_ENV"}
"$MLSHIP_VENV/bin/mlship" status ${MLSHIP_ENV:+--env "$MLSHIP_ENV"}
