"""The functions of boxes again, faster: NumPy on the CPU, Triton on CUDA. `rsreward.dispatch` chooses."""
