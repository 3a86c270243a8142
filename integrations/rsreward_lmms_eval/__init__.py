"""Tasks of remote-sensing visual grounding for lmms-eval: give this folder as `--include_path`, see README.md."""
