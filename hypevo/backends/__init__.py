"""Where trials run: each backend offers `submit(job, on_report) -> Future[Outcome]`, `cancel` and `close`."""
