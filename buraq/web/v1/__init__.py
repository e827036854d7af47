"""The API under /api/v1, view by view. What a request may hold, and what an answer does, is in `openapi.json`."""
