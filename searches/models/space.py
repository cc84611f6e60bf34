"""Search spaces that people keep: a name with numbered versions, none of which ever changes."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Space(models.Model):
    """A saved search space. What it is stands in its versions; this row is its name and who may see it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="spaces")
    name = models.CharField(max_length=200)
    archived = models.BooleanField(default=False)
    #: whoever is logged in and knows it may look at the newest version and copy it; null = not shared
    share_token = models.CharField(max_length=64, null=True, blank=True, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-changed_at", "-id"]
        indexes = [models.Index(fields=["owner", "archived", "-changed_at"], name="space_of_owner")]

    def __str__(self) -> str:
        return self.name


class SpaceVersion(models.Model):
    """One state of a saved space, numbered from 1. Written once; searches point at the one they began with."""

    space = models.ForeignKey(Space, on_delete=models.CASCADE, related_name="versions")
    number = models.IntegerField()
    family = models.CharField(max_length=80, help_text="name of the plug-in")
    config = models.JSONField(help_text="{name, option: value, ...} in full, as in SearchConfig.space")
    data = models.JSONField(help_text="{name, option: value, ...} of the data set it was drawn for, as in SearchConfig")
    size = models.CharField(max_length=400, blank=True, default="", help_text="number of architectures; may be huge")
    exact_size = models.BooleanField(default=True, help_text="`size` is the number itself and no bound")
    note = models.CharField(max_length=400, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["space", "number"], name="space_version")]

    def __str__(self) -> str:
        return f"{self.space} v{self.number}"
