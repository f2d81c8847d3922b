# AWS_ROLE_ARN: set in the CI system; boto3 exchanges the token for keys that end with the job
(umask 077 && printf '%s' "$MLSHIP_ID_TOKEN" > "$MLSHIP_VENV/id-token")
export AWS_WEB_IDENTITY_TOKEN_FILE="$MLSHIP_VENV/id-token"
