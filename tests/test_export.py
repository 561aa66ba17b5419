"""The networks as TorchScript and ONNX, exported by MONAI's own commands, give the same numbers."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, onnx_export

BUNDLE = Path(__file__).parents[1] / "bundles" / "cmb_detection"
NETWORKS = {
    "default": (("inference",), "model.pt", "network_def", (3, 5, 48, 48)),
    "paper": (("inference", "paper"), "paper/model.pt", "network_def", (1, 2, 48, 32, 16)),
    "paper, discriminator": (("inference", "paper"), "paper/model.pt", "network_def#discriminator", (3, 2, 32, 32, 12)),
}


@pytest.fixture(params=NETWORKS)
def exported(request, tmp_path):
    """Arguments of an export of shipped weights, in a file of their own, the network, and an input."""
    names, weights, net_id, size = NETWORKS[request.param]
    configs = [str(BUNDLE / "configs" / f"{name}.json") for name in names]
    parser = ConfigParser()
    parser.read_config(configs)
    whole = parser.get_parsed_content("network_def")
    whole.load_state_dict(torch.load(BUNDLE / "models" / weights, weights_only=True))
    network = (whole if net_id == "network_def" else whole.discriminator).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    arguments = {
        "net_id": net_id,
        "filepath": str(tmp_path / "network.ts"),
        "ckpt_file": str(tmp_path / "weights.pt"),
        "meta_file": str(BUNDLE / "configs" / "metadata.json"),
        "config_file": configs,
    }
    return arguments, network, torch.rand(size, generator=torch.Generator().manual_seed(0))


@pytest.mark.slow
def test_torchscript_gives_the_same(exported):
    arguments, network, image = exported
    ckpt_export(**arguments)
    script = torch.jit.load(arguments["filepath"]).eval()
    with torch.no_grad():
        torch.testing.assert_close(script(image), network(image), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_onnx_gives_the_same(exported):
    arguments, network, image = exported
    onnx_export(**arguments, input_shape=list(image.shape))
    session = onnxruntime.InferenceSession(arguments["filepath"], providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(result, network(image).numpy(), atol=1e-4, rtol=0)
