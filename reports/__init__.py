"""What people look at: MLflow runs, figures and the end-of-trial report. Reads results, never collectors, and is never read back."""
