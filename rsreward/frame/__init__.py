"""Do answers, true boxes and image sizes fit together? Findings about the frame of reference; nothing is corrected."""

from .check import FINDINGS, Finding, FrameCheck, frame_findings

__all__ = ["FINDINGS", "Finding", "FrameCheck", "frame_findings"]
