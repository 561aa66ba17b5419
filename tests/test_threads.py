"""The number of threads changes no bit."""

import subprocess
import sys


def test_fully_connected_layers_give_the_same_bits():
    code = """
import csvd, torch
torch.manual_seed(0)
layer, patches = torch.nn.Linear(3072, 1024), torch.randn(64, 3072)
answers = [torch.set_num_threads(number) or layer(patches[:count]) for count in (1, 16, 64) for number in (1, 2)]
assert all(torch.equal(*answers[k : k + 2]) for k in (0, 2, 4))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
