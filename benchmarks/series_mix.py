"""Teach the sequence gate on real series as well as on simulated ones, and print what it names, by people held out.

Features of all series are made once; the last layer is trained from the released one. In cross-validation, each group
of people, and each simulated one, is named by a layer that saw none of them. `--write` trains on all people but those
of `--without`. For a training of more layers `datalist.json` has these under "test", and a fold under "validation".

    csvd phantom --preset study --subjects 10 --seed 152 --out studies
    python benchmarks/series_mix.py data backgrounds --people benchmarks/series_people.tsv --studies studies \\
        --out mix --without siemens-prisma openms-L01 --write mix/sequence.pt
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from scored import table
from series_head import Seen, apart, choose_and_fit, folds_of, probabilities
from series_real import Features, Known, real_series, simulated_series
from series_report import RATES, Answer, answer, by_person, confusion, rates
from tqdm import tqdm

from csvd.bundles import find_bundle
from csvd.engines.weights import save_state
from csvd.io.files import atomic_path

INNER_FOLDS = 3
"""Of the trainings that choose how near to the released layer the new one stays."""


@dataclass(frozen=True)
class Named:
    """Series and their features, with the layer that names each."""

    seen: Sequence[Seen]
    heads: Sequence[torch.nn.Linear]

    def answers(self, tags: bool) -> list[Answer]:
        """Return what the gate says of each."""
        return [
            answer(one.series, probabilities(head, one.features), tags)
            for one, head in zip(self.seen, self.heads, strict=True)
        ]


def cross_validate(start: torch.nn.Linear, seen: Sequence[Seen], folds: int) -> dict[str, torch.nn.Linear]:
    """Train a layer a fold on the people of all others; return for each group of people the layer that saw none."""
    heads: dict[str, torch.nn.Linear] = {}
    for number, part in enumerate(folds_of(seen, folds), start=1):
        inside, outside = apart(seen, part)
        head, pull = choose_and_fit(start, inside, INNER_FOLDS)
        people = sorted({one.series.people for one in outside if one.real})
        print(f"Fold {number}, without {', '.join(people)}: pull {pull}.", flush=True)
        heads |= dict.fromkeys(part, head)
    return heads


def write_datalist(seen: Sequence[Seen], out: Path, without: Sequence[str], folds: int) -> None:
    """Write the data list for `configs/train_sequence.json`: no people are in two sections."""
    kept, left_out = apart(seen, without)
    training, validation = apart(kept, folds_of(kept, folds)[0])
    sections = {"training": training, "validation": validation, "test": left_out}
    content = {name: [_item(one.series) for one in some] for name, some in sections.items()}
    with atomic_path(out / "datalist.json") as path:
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _item(one: Known) -> dict[str, str]:
    image = str(Path(one.image).absolute())
    return {"image": image, "sequence": one.classes[0], "kind": one.kind, "subject": one.people}


def report(title: str, before: Named, after: Named, tags: bool) -> None:
    """Print rates before and after, people and confusion matrices."""
    old, new = before.answers(tags), after.answers(tags)
    print(f"\n## {title}\n\n{table(RATES, [rates('before', old), rates('after', new)])}")
    if any(one.real for one in before.seen):
        print(by_person(old, new))
    print(f"Before:\n\n{confusion(old)}\nAfter:\n\n{confusion(new)}")


def with_head(bundle: Path, head: torch.nn.Linear) -> dict[str, torch.Tensor]:
    """Return the released weights with another last layer, as they are stored: in 16 bits."""
    state = torch.load(bundle / "models" / "sequence.pt", map_location="cpu", weights_only=True)
    return {**state, **{f"backbone.fc.{name}": value.detach().half() for name, value in head.state_dict().items()}}


def main() -> None:
    """Make features, train, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of real series, NIfTI or DICOM")
    parser.add_argument("--people", type=Path, required=True, help="table: series, kind, classes, person, people")
    parser.add_argument("--studies", type=Path, nargs="*", default=(), help="folders of `csvd phantom` to train on")
    parser.add_argument("--out", type=Path, required=True, help="folder; series and features in it are not made again")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--without", nargs="*", default=(), help="people in no training of `--write`")
    parser.add_argument("--write", type=Path, help="file of the new weights")
    parser.add_argument("--bundle", type=Path, help="folder; the one that came with csvd")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    bundle = arguments.bundle or find_bundle("cmb_detection")
    features = Features(bundle, arguments.out / "features")
    seen = [
        Seen(one, features(one), real)
        for series, real in (
            (real_series(arguments.folders, arguments.people, arguments.out), True),
            (simulated_series(arguments.studies), False),
        )
        for one in tqdm(series, desc="features", unit="series", disable=None)
    ]
    write_datalist(seen, arguments.out, arguments.without, arguments.folds)
    heads = cross_validate(features.head, seen, arguments.folds)
    for real, title in ((True, "Real series"), (False, "Simulated series")):
        some = [one for one in seen if one.real == real]
        before, after = (
            Named(some, [features.head] * len(some)),
            Named(some, [heads[one.series.people] for one in some]),
        )
        for tags in (False, True) if real else (False,):
            report(f"{title}, people held out, {'with tags' if tags else 'by pixels alone'}", before, after, tags)
    kept, left_out = apart(seen, arguments.without)
    head, pull = choose_and_fit(features.head, kept, INNER_FOLDS)
    if left_out:
        print(f"\n{len(kept)} series without {', '.join(arguments.without)}: pull {pull}.")
        before, after = (Named(left_out, [layer] * len(left_out)) for layer in (features.head, head))
        report("Real series of people in no training, by pixels alone", before, after, tags=False)
    if arguments.write:
        save_state(with_head(bundle, head), arguments.write)


if __name__ == "__main__":
    main()
