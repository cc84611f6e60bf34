"""Whether this worker has been told to leave: its jobs then checkpoint and hand themselves back.

Set once, from Celery's signal of a shutdown (SIGTERM, Ctrl-C); the job runner looks at it several times a second.
"""

import threading

draining = threading.Event()
