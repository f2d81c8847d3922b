# GCP_CREDENTIALS: the file's text that `gcloud iam workload-identity-pools create-cred-config` writes for the file id-token
(umask 077 && printf '%s' "$MLSHIP_ID_TOKEN" > "$MLSHIP_VENV/id-token" && printf '%s' "$GCP_CREDENTIALS" > "$MLSHIP_VENV/gcp.json")
export GOOGLE_APPLICATION_CREDENTIALS="$MLSHIP_VENV/gcp.json"
