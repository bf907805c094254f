"""The doors for Celery."""
