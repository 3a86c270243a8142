collect_ignore = ["smoke.py", "tiny_qwen.py"]  # they need ms-swift: `make smoke-swift`
