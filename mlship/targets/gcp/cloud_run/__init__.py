"""Cloud Run: one service, one revision a release, callers shared by whole percents."""
