"""Rewards and the consistency weight for ms-swift: `--external_plugins .../rsreward_swift/plugin.py`, see README.md.

Only `plugin` imports swift.
"""
