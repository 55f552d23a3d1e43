"""An evolution at work: the driver, its budget, and the ledger that keeps study, MLflow and exports in step."""
