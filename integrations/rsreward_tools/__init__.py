"""What needs no trainer: data sets, scoring, pages, and the command `rsreward`."""
