"""Real-time endpoints of SageMaker."""
