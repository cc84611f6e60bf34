"""Addresses of the WebSockets. `nasweb.asgi` refuses foreign origins before it comes here."""

from __future__ import annotations

from django.urls import re_path

from searches.consumers import SearchConsumer, closed

websocket_urlpatterns = [
    re_path(r"^ws/searches/(?P<id>[0-9]{1,18})/$", SearchConsumer.as_asgi()),
    re_path(r"", closed),
]
