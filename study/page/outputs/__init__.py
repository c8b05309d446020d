"""Where a page goes: rows, pictures, a section of a document, MLflow and optuna-dashboard."""
