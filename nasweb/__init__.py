"""How the parts are wired: settings, ASGI, Celery, URLs and the process supervisor."""
