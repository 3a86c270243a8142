"""Configurations for verl; `rsvg_grpo.yaml` says how to use them. A package, for hydra looks in packages only."""
