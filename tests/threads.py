"""Another number of threads for a while."""

from contextlib import contextmanager

import SimpleITK as sitk
import torch
from threadpoolctl import threadpool_limits


@contextmanager
def threads(number):
    """Let torch, BLAS and ITK take that many threads each."""
    before = torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    torch.set_num_threads(number)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        torch.set_num_threads(before[0])
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before[1])
