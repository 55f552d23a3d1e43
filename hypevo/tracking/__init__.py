"""MLflow's view of a study, delivered from the trials' folders; the only room that imports mlflow."""

import os

# One try instead of MLflow's four minutes of retrying: the outbox has its own patience, and a request for a new run
# that is repeated blindly makes two. Set here, because MLflow reads them when it is imported.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# MLflow prints two lines with addresses at the end of each run of a server: standard output is for results.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
