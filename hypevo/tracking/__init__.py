"""MLflow's side of a study: its runs, and how they are kept up to date without anybody waiting."""
