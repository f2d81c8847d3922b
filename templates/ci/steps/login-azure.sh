# AZURE_CLIENT_ID, AZURE_TENANT_ID: set in the CI system; azure-identity exchanges the token for one that ends with the job
(umask 077 && printf '%s' "$MLSHIP_ID_TOKEN" > "$MLSHIP_VENV/id-token")
export AZURE_FEDERATED_TOKEN_FILE="$MLSHIP_VENV/id-token"
