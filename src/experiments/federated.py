"""Federated averaging of the default detector: two simulated sites that keep their scans, beside each site alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from ignite.metrics import Average
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject

from ..engines import load_weights, loss_of
from ..engines.weights import save_state
from ..io.files import atomic_path
from ..metrics import FROCMetric, operating_thresholds
from ..metrics.exact import exact_rates
from .sizes import Size
from .study import Item, Study
from .tables import write_results

SITES = {"A": "ukbb", "B": "oxvasc"}
"""Presets of the scanners: SWI in slices of 3 mm, and T2*-weighted magnitude in slices of 5 mm."""
LESIONS = 6.0
ROUNDS = 3
ROWS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "site A alone": (("A",),),
    "site B alone": (("B",),),
    "federated": (("A",), ("B",)),
    "pooled": (("A", "B"),),
}
"""Clients of each row, and the sites whose scans each has."""
THRESHOLDS = torch.linspace(-4.5, 6, 43).sigmoid().tolist()  # a quarter of a unit of log-odds apart


def federated(study: Study, size: Size) -> Path:
    """Train at each site, by federated averaging, and with all scans together; return the folder of the table.

    Every client of every row has as many updates. Weights, averages and rounds are those of MONAI's federated client;
    a site alone is a federation of one.
    """
    cohorts = {
        site: [
            study.cohort(preset, subjects, seed, lesions=LESIONS)
            for subjects, seed in ((size.training, 2 * k + 1), (size.validation, 2 * k + 2))
        ]
        for k, (site, preset) in enumerate(SITES.items())
    }
    rows: list[dict[str, Any]] = []
    for name, clients in ROWS.items():
        training = [[item for site in sites for item in cohorts[site][0]] for sites in clients]
        record = federate(study, name, training)
        row = {"trained": name, "loss of the rounds": ", ".join(f"{loss:.3f}" for loss in record["losses"])}
        for site, (_, validation) in cohorts.items():
            counts = measure(study, name, site, validation)
            row |= {f"{rate}, {site}": value for rate, value in site_rates(counts).items()}
        rows.append({**row, "minutes": f"{record['seconds'] / 60:.1f}"})
    write_results(rows, study.out / "federated", "Federated averaging of the default detector", _notes(study, size))
    return study.out


def federate(study: Study, name: str, training: Sequence[Sequence[Item]]) -> dict[str, Any]:
    """Train for some rounds, unless that is done, and write the weights of the last average.

    Args:
        study: folder, bundle and settings.
        name: of the row.
        training: items of each client's scans.

    Returns:
        ``seconds``, and ``losses``: the mean loss of the last epoch of each round, over clients.
    """
    folder = study.out / "weights" / name.replace(" ", "_")
    record = folder / "training.json"
    if not record.exists():
        study.say(f"training: {name}")
        started = time.perf_counter()
        clients = [make_client(study, folder / f"client_{k}", items) for k, items in enumerate(training)]
        weights, losses = clients[0].get_weights(extra={}).weights, []
        for _ in range(ROUNDS):
            sent = []
            for client in clients:
                client.train(ExchangeObject(weights=weights), extra={})
                sent.append(client.get_weights(extra={}).weights)
            weights = average_weights(sent, [len(items) for items in training])
            losses.append(sum(_trainer(client).state.metrics["mean_loss"] for client in clients) / len(clients))
        for client in clients:
            client.finalize()
        save_state(weights, folder / "model.pt")
        with atomic_path(record) as temporary:
            temporary.write_text(json.dumps({"seconds": time.perf_counter() - started, "losses": losses}))
    return json.loads(record.read_text(encoding="utf-8"))


def make_client(study: Study, folder: Path, training: Sequence[Item]) -> MonaiAlgo:
    """Return a client of a federation that trains the bundle's default detector on scans of its own.

    Args:
        study: its settings give ``epochs``, of all rounds together.
        folder: of what the client writes.
        training: items of its scans.
    """
    (folder / "resume.pt").unlink(missing_ok=True)  # of a federation that was stopped: its other clients are gone
    settings = _settings(study, folder, training)
    epochs = settings["epochs"]
    client = MonaiAlgo(
        bundle_root=str(study.bundle),
        config_train_filename="configs/train.json",
        train_kwargs={**settings, "lr_scheduler#epochs": epochs},  # one schedule for all rounds
        config_evaluate_filename=None,
        config_filters_filename=None,
        local_epochs=epochs // ROUNDS,
        send_weight_diff=False,
    )
    client.initialize(extra={ExtraItems.CLIENT_NAME: folder.name, ExtraItems.APP_ROOT: str(study.bundle)})
    Average(output_transform=loss_of).attach(_trainer(client), "mean_loss")
    client.iter_of_start_time = 0
    return client


def _trainer(client: MonaiAlgo) -> SupervisedTrainer:
    """Return the trainer of a client that has been initialised."""
    return cast(SupervisedTrainer, client.trainer)


def average_weights(sent: Sequence[Mapping[str, Any]], sizes: Sequence[float]) -> dict[str, torch.Tensor]:
    """Return the mean of the weights that clients send, each client weighted by its size [1]_.

    Args:
        sent: state dicts of all clients.
        sizes: how many scans, or patches, each has.

    References:
        .. [1] McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, AISTATS 2017.
    """
    shares = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    mean = {}
    for name in sent[0]:
        each = torch.stack([torch.as_tensor(weights[name]).double() for weights in sent])
        mean[name] = torch.einsum("c,c...->...", shares, each).to(torch.as_tensor(sent[0][name]).dtype)
    return mean


def measure(study: Study, name: str, site: str, validation: Sequence[Item]) -> torch.Tensor:
    """Return the lesion counts (S, T, 4), by distance, of the validation scans of a site at :data:`THRESHOLDS`."""
    path = study.out / "counts" / f"{name.replace(' ', '_')}_{site}.pt"
    if not path.exists():
        study.say(f"measuring: {name}, scans of site {site}")
        parser = ConfigParser()
        parser.read_config(str(study.bundle / "configs" / "train.json"))
        folder = study.out / "counts" / path.stem
        own = {"validate#evaluator#network": "@network", "validate#metric#thresholds": THRESHOLDS}
        for key, value in {**_settings(study, folder, validation), **own}.items():
            parser[key] = value
        load_weights(parser.get_parsed_content("network"), study.out / "weights" / name.replace(" ", "_") / "model.pt")
        parser.get_parsed_content("validate#evaluator").run()
        metric: FROCMetric = parser.get_parsed_content("validate#metric")
        save_state({"counts": metric.counts()}, path)
    return torch.load(path, weights_only=True)["counts"]


def site_rates(counts: torch.Tensor) -> dict[str, str]:
    """Return TPR, false positives per scan and F1 of counts (S, T, 4), with exact intervals.

    They are those of the threshold with the highest TPR at one false positive per scan or less.
    """
    chosen = operating_thresholds(counts, torch.tensor(THRESHOLDS))["one_fp"]
    rates = exact_rates(counts[:, int((torch.tensor(THRESHOLDS) - chosen).abs().argmin())])
    return {"TPR": str(rates["tpr"]), "FPs per scan": str(rates["fps_per_subject"]), "F1": str(rates["f1"])}


def _settings(study: Study, folder: Path, items: Sequence[Item]) -> dict[str, Any]:
    """Return the values of ``train.json`` to train or validate on scans, one network instead of an ensemble."""
    data = study.data(f"{folder.parent.name}_{folder.name}", training=items, validation=items)
    return {
        "bundle_root": str(study.bundle),
        "dataset_dir": str(data),
        "output_dir": str(folder),
        "ckpt_dir": str(folder),
        "train#dataset#bank_dir": str(study.out / "bank"),
        "network_def#members": 1,
        "val_interval": 10**6,
        "seed": 0,
        **study.settings,
    }


def _notes(study: Study, size: Size) -> list[str]:
    epochs, batches = study.settings["epochs"], study.settings["train#sampler#batches"]
    return [
        f"Simulated: {size.training} training and {size.validation} validation subjects a site, those who have "
        f"microbleeds with a median of {LESIONS:g}; A is the preset {SITES['A']}, B {SITES['B']}.",
        f"{ROUNDS} rounds of {epochs // ROUNDS} epochs of {batches} updates for every client of every row; one "
        "network; averages weighted by the number of scans. Seeds: trainings 0, cohorts 1 to 4, all of other subjects.",
        "Lesions matched by distance. TPR, FPs and F1 at the threshold with the highest TPR at one FP per scan or "
        "less, chosen on the same scans for each row. 95 % intervals: exact (Clopper-Pearson, Poisson for FPs).",
        "Loss: mean of the last epoch of each round; where it still falls, the training had not converged. Research "
        "use only.",
    ]
