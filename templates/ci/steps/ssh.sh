set -eu
# a key of this shell alone: ~/.ssh stays as it is, and the key goes when the step ends
MLSHIP_SSH="$(cd "$MLSHIP_VENV/.." && pwd)/ssh"
trap 'rm -rf "$MLSHIP_SSH"' EXIT
trap 'exit 130' HUP INT TERM
rm -rf "$MLSHIP_SSH"
(umask 077 && mkdir "$MLSHIP_SSH")
# a variable holds the text, or the path of a file with it; neither is printed
kept() {
  (umask 077 && if [ -f "$1" ]; then cat "$1"; else printf '%s\n' "$1"; fi > "$MLSHIP_SSH/$2")
}
kept "$MLSHIP_SSH_KEY" key
kept "$MLSHIP_SSH_KNOWN_HOSTS" known_hosts
printf '%s\n' "IdentityFile $MLSHIP_SSH/key" 'IdentitiesOnly yes' "UserKnownHostsFile $MLSHIP_SSH/known_hosts" \
  'StrictHostKeyChecking yes' 'BatchMode yes' > "$MLSHIP_SSH/config"
export MLSHIP_SSH_CONFIG="$MLSHIP_SSH/config"
