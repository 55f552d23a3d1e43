CREATE DATABASE mlflow OWNER hypevo; -- beside Optuna's, which compose.yaml makes
