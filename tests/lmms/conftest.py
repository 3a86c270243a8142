collect_ignore = ["smoke.py"]  # it needs lmms-eval: `make smoke-lmms`
