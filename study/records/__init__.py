"""What the study keeps: plain records, Optuna's storage, MLflow's tracking."""
