"""The worker process: fetches deliveries, runs their tasks in slots, settles their outcomes."""
