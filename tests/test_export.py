"""The networks as TorchScript and ONNX, exported by MONAI's own commands, give the same numbers."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, onnx_export

BUNDLE = Path(__file__).parents[1] / "bundles" / "cmb_detection"
SIZES = {"network_def": (1, 2, 48, 32, 16), "network_def#discriminator": (3, 2, 32, 32, 12)}


@pytest.fixture(params=SIZES)
def exported(request, tmp_path):
    """Name of a network, its shipped weights in a file of their own, the network, and an input."""
    parser = ConfigParser(json.loads((BUNDLE / "configs" / "inference.json").read_text()))
    cascade = parser.get_parsed_content("network_def")
    cascade.load_state_dict(torch.load(BUNDLE / "models" / "model.pt", weights_only=True))
    network = (cascade if request.param == "network_def" else cascade.discriminator).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    image = torch.rand(SIZES[request.param], generator=torch.Generator().manual_seed(0))
    return request.param, tmp_path / "weights.pt", network, image


def arguments(name, weights, path):
    return {
        "net_id": name,
        "filepath": str(path),
        "ckpt_file": str(weights),
        "meta_file": str(BUNDLE / "configs" / "metadata.json"),
        "config_file": str(BUNDLE / "configs" / "inference.json"),
    }


@pytest.mark.slow
def test_torchscript_gives_the_same(exported, tmp_path):
    name, weights, network, image = exported
    ckpt_export(**arguments(name, weights, tmp_path / "network.ts"))
    script = torch.jit.load(tmp_path / "network.ts").eval()
    with torch.no_grad():
        torch.testing.assert_close(script(image), network(image), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_onnx_gives_the_same(exported, tmp_path):
    name, weights, network, image = exported
    onnx_export(**arguments(name, weights, tmp_path / "network.onnx"), input_shape=list(image.shape))
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(result, network(image).numpy(), atol=1e-4, rtol=0)
