"""`python -m rsreward_qwen_vl`, for launchers that want a module."""

from rsreward_tools.cli.main import main

if __name__ == "__main__":
    main()
