"""What can be wrong with the machine and its packages: one small function a check, each finding with its remedy."""

from penstock.pipelines.doctor.checks import CHECKS, examine
from penstock.pipelines.doctor.finding import Finding, Level

__all__ = ["CHECKS", "Finding", "Level", "examine"]
