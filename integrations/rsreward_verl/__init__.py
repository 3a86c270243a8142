"""rsreward for verl, by configuration alone: the reward, and the spatial-consistency weight inside verl's trainers.

Nothing is imported here: verl loads `rsreward_verl.reward` and `rsreward_verl.trainer` by name.
"""
