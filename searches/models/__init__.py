"""What is stored. Transitions live in `searches.services` only."""

from searches.models.artifact import Artifact
from searches.models.job import Claim, Job
from searches.models.log import Event, LogEntry, LogLine, Snapshot
from searches.models.race import Race, RaceRun, RaceTable
from searches.models.search import Search
from searches.models.space import Space, SpaceVersion
from searches.models.supernet import Subnet, SupernetEpoch
from searches.models.trial import Point, Trial
from searches.models.worker import Worker

__all__ = [
    "Artifact",
    "Claim",
    "Event",
    "Job",
    "LogEntry",
    "LogLine",
    "Point",
    "Race",
    "RaceRun",
    "RaceTable",
    "Search",
    "Snapshot",
    "Space",
    "SpaceVersion",
    "Subnet",
    "SupernetEpoch",
    "Trial",
    "Worker",
]
