"""Where a study is kept: Optuna's storage, MLflow's tracking, the dashboards."""
