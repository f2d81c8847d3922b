set -eu
# MLSHIP_REGISTRY: HOST/NAME, a variable of the CI system; MLSHIP_REGISTRY_USER and MLSHIP_REGISTRY_TOKEN where nobody has logged in
if [ -n "${MLSHIP_REGISTRY:-}" ]; then
  case ${MLSHIP_REGISTRY_TOKEN:-} in
    '' | '$('*) ;;
    *)
      export DOCKER_CONFIG="$MLSHIP_VENV/login"
      trap 'rm -rf "$DOCKER_CONFIG"' EXIT
      login=$(printf '%s:%s' "${MLSHIP_REGISTRY_USER:-mlship}" "$MLSHIP_REGISTRY_TOKEN" | base64 | tr -d '\n')
      (umask 077 && mkdir -p "$DOCKER_CONFIG" &&
        printf '{"auths": {"%s": {"auth": "%s"}}}\n' "${MLSHIP_REGISTRY%%/*}" "$login" > "$DOCKER_CONFIG/config.json")
      ;;
  esac
  "$MLSHIP_VENV/bin/mlship" build --locked --push "$MLSHIP_REGISTRY"
fi
