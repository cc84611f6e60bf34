"""The app that stores, does and shows searches."""

from django.apps import AppConfig


class SearchesConfig(AppConfig):
    """Registers the app; nothing happens on start beyond what Django does."""

    name = "searches"
    verbose_name = "Searches"
