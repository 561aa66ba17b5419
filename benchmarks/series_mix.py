"""Teach the sequence gate on real series as well as on simulated ones, and print what it names, by people held out.

Features of all series are made once; the last layer is trained from the released one. In cross-validation, each group
of people is named by a layer that saw none of them. `--write` trains on all people but those of `--without`. The list
for a training of more layers, `datalist.json`, has the people of `--without` under "test" and a fold for validation.

    csvd phantom --preset study --subjects 4 --seed 152 --split 1 0 0 --out studies_a
    csvd phantom --preset study --subjects 4 --seed 153 --split 0 0 1 --out studies_b
    python benchmarks/series_mix.py data backgrounds --people benchmarks/series_people.tsv \\
        --studies studies_a studies_b --out mix --without siemens-prisma openms-L01 --write mix/sequence.pt
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from scored import table
from series_head import Seen, choose_and_fit, folds_of, probabilities
from series_real import Features, Known, real_series, simulated_series
from series_report import RATES, Answer, answer, by_person, confusion, rates

from csvd.bundles import find_bundle
from csvd.engines.weights import save_state
from csvd.io.files import atomic_path


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


def cross_validate(start: torch.nn.Linear, real: Sequence[Seen], simulated: Sequence[Seen], folds: int) -> Named:
    """Train a layer a fold on the other people and on simulated series; return the layers that name each series."""
    heads: dict[str, torch.nn.Linear] = {}
    for number, part in enumerate(folds_of([one.series.people for one in real], folds), start=1):
        training = [one for one in real if one.series.people not in part]
        head, pull = choose_and_fit(start, [*training, *simulated], folds)
        print(f"fold {number}: without {', '.join(sorted(part))}; pull {pull}")
        heads |= dict.fromkeys(part, head)
    return Named(real, [heads[one.series.people] for one in real])


def write_datalist(
    real: Sequence[Known], studies: dict[str, Sequence[Known]], out: Path, without: Sequence[str], folds: int
) -> None:
    """Write the data list for `configs/train_sequence.json`: no people are in two sections."""
    kept = [one.people for one in real if one.people not in without]
    fold = folds_of(kept, folds)[-1] if kept else []
    sections: dict[str, list[dict[str, str]]] = {"training": [], "validation": [], "test": []}
    for one in real:
        section = "test" if one.people in without else "validation" if one.people in fold else "training"
        sections[section].append(_item(one))
    for section, series in studies.items():
        sections[section] += [_item(one) for one in series]
    with atomic_path(out / "datalist.json") as path:
        path.write_text(json.dumps(sections, indent=1), encoding="utf-8")


def _item(one: Known) -> dict[str, str]:
    image = str(Path(one.image).absolute())
    return {"image": image, "sequence": one.classes[0], "kind": one.kind, "subject": one.people}


def report(title: str, before: Named, after: Named, tags: bool) -> None:
    """Print rates before and after, people and confusion matrices."""
    old, new = before.answers(tags), after.answers(tags)
    print(f"\n## {title}\n\n{table(RATES, [rates('before', old), rates('after', new)])}")
    print(f"{by_person(old, new)}\nBefore:\n\n{confusion(old)}\nAfter:\n\n{confusion(new)}")


def with_head(bundle: Path, head: torch.nn.Linear) -> dict[str, torch.Tensor]:
    """Return the released weights with another last layer, as they are stored: in 16 bits."""
    state = torch.load(bundle / "models" / "sequence.pt", map_location="cpu", weights_only=True)
    return {**state, **{f"backbone.fc.{name}": value.detach().half() for name, value in head.state_dict().items()}}


def main() -> None:
    """Make features, train, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of real series, NIfTI or DICOM")
    parser.add_argument("--people", type=Path, required=True, help="table: series, kind, classes, person, people")
    parser.add_argument("--studies", type=Path, nargs="*", default=(), help="simulated studies: training and test")
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
    known = real_series(arguments.folders, arguments.people, arguments.out)
    studies = {section: simulated_series(arguments.studies, section) for section in ("training", "test")}
    write_datalist(known, studies, arguments.out, arguments.without, arguments.folds)
    real = [Seen(*pair, real=True) for pair in zip(known, features.all(known), strict=True)]
    training, test = (
        [Seen(*pair, real=False) for pair in zip(some, features.all(some), strict=True)] for some in studies.values()
    )
    folds = cross_validate(features.head, real, training, arguments.folds)
    for tags in (False, True):
        title = f"Real series, people held out, {'with tags' if tags else 'by pixels alone'}"
        report(title, Named(real, [features.head] * len(real)), folds, tags)
    kept = [one for one in real if one.series.people not in arguments.without]
    head, pull = choose_and_fit(features.head, [*kept, *training], arguments.folds)
    print(f"\nAll people but {', '.join(arguments.without) or 'none'}; pull {pull}.")
    for title, some in (
        ("Real series of people left out", [one for one in real if one not in kept]),
        ("Simulated series, test", test),
    ):
        if some:
            before, after = (Named(some, [layer] * len(some)) for layer in (features.head, head))
            report(f"{title}, by pixels alone", before, after, tags=False)
    if arguments.write:
        save_state(with_head(bundle, head), arguments.write)


if __name__ == "__main__":
    main()
