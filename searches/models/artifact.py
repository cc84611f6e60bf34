"""Files a search leaves in the storage."""

from __future__ import annotations

from django.db import models


class Artifact(models.Model):
    """One stored file, named by its content's digest."""

    class Kind(models.TextChoices):
        """What the file is."""

        CHECKPOINT = "checkpoint"
        WEIGHTS = "weights"
        BUNDLE = "bundle"
        SUPERNET = "supernet"

    search = models.ForeignKey("Search", on_delete=models.CASCADE, related_name="artifacts")
    trial = models.ForeignKey("Trial", null=True, blank=True, on_delete=models.CASCADE, related_name="artifacts")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    name = models.CharField(max_length=300, help_text="name in the storage")
    digest = models.CharField(max_length=64, help_text="SHA-256")
    bytes = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["search", "kind"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.digest[:12]}"
