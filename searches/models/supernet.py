"""What weight-sharing searches leave: the epochs of their supernets, and subnets scored with shared weights."""

from __future__ import annotations

from django.db import models


class SupernetEpoch(models.Model):
    """One epoch of a supernet. Written once: a second worker's copy of the same epoch changes nothing."""

    job = models.ForeignKey("Job", on_delete=models.CASCADE, related_name="epochs")
    epoch = models.IntegerField()
    row = models.JSONField(help_text="see engine.supernets.epochs")

    class Meta:
        ordering = ["epoch"]
        constraints = [models.UniqueConstraint(fields=["job", "epoch"], name="supernet_epoch")]

    def __str__(self) -> str:
        return f"epoch {self.epoch} of job {self.job_id}"


class Subnet(models.Model):
    """One architecture under the weights of a supernet. Never a trial: its accuracy is comparable with its like alone.

    Attributes:
        piece: number of the piece of work that scored it; position: its place in it.
    """

    search = models.ForeignKey("Search", on_delete=models.CASCADE, related_name="subnets")
    job = models.ForeignKey("Job", on_delete=models.CASCADE, related_name="subnets")
    supernet = models.IntegerField(help_text="number of the piece that trained the weights")
    piece = models.IntegerField()
    position = models.IntegerField()
    name = models.CharField(max_length=80, help_text="SearchSpace.short_name")
    architecture = models.JSONField(help_text="choices by decision")
    key = models.CharField(max_length=64, help_text="as of a trial: the same network has the same")
    n_params = models.BigIntegerField(null=True)
    n_macs = models.BigIntegerField(null=True)
    accuracy = models.FloatField(null=True, help_text="under shared weights, validation; null = it could not be built")
    loss = models.FloatField(null=True)
    duration_s = models.FloatField(default=0.0)

    class Meta:
        ordering = ["piece", "position"]
        constraints = [models.UniqueConstraint(fields=["search", "piece", "position"], name="subnet_place")]
        indexes = [models.Index(fields=["search", "key"]), models.Index(fields=["search", "-accuracy"])]

    def __str__(self) -> str:
        return f"subnet {self.piece}.{self.position} {self.name}"
