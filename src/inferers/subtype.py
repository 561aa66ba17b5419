"""From a scan, with or without its microbleed mask, to the classes of small vessel disease and what they rest on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

import torch
from monai.config import KeysCollection
from monai.inferers import Inferer
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_tensor
from monai.visualize import GradCAMpp
from torch.nn.functional import adaptive_avg_pool3d, adaptive_max_pool3d, interpolate

from ..checks import check_between, check_positive
from ..io import read_age, read_sex
from ..networks import AttentionMIL, CascadeNetwork, SliceMaskRCNN, SubtypeNetwork
from ..networks.attention_mil import real_slices
from ..transforms import lesion_chance


class SliceBag:
    """Slices of one size, each with its microbleeds: the input of the classifier.

    The scan is averaged down to the size, of microbleeds the maximum is taken, so that none is lost. A scan that has
    no microbleed mask, but NaN in its place, gets that of the cascade.

    Args:
        cascade: finds microbleeds: :class:`csvd.inferers.CascadeInferer` or :class:`csvd.inferers.SliceInferer`.
        threshold: probability from which what it finds is one.
        size: first and second axis of a slice. Defaults to 128 x 160.
        max_slices: more are averaged. Defaults to 32.

    Raises:
        ValueError: ``threshold`` lies outside [0, 1], or a size is not positive.
    """

    def __init__(
        self, cascade: Inferer, threshold: float, size: Sequence[int] = (128, 160), max_slices: int = 32
    ) -> None:
        check_between("threshold", threshold, 0, 1)
        check_positive("size", min(size))
        check_positive("max_slices", max_slices)
        self.cascade = cascade
        self.threshold = threshold
        self.size = tuple(size)
        self.max_slices = max_slices

    def lesions(self, image: torch.Tensor, network: CascadeNetwork | SliceMaskRCNN) -> torch.Tensor:
        """Return the microbleeds (1, H, W, D) of a scan: its last channel, or what is found where that is NaN."""
        return self.found(image, network) if image[-1].isnan().all() else image[-1:]

    def found(self, image: torch.Tensor, network: CascadeNetwork | SliceMaskRCNN) -> torch.Tensor:
        """Return the probability (1, H, W, D) of the microbleeds that are found, 0 elsewhere; see :meth:`lesions`."""
        _, objects = self.cascade(image[None, :-1], network)[0]
        return (objects * (objects >= self.threshold))[None].to(image)

    def __call__(self, image: torch.Tensor, lesions: torch.Tensor) -> torch.Tensor:
        """Return slices (2, h, w, D) of a scan (C, H, W, D), whose first channel counts, and of its microbleeds.

        Args:
            image: the scan.
            lesions: (1, H, W, D), above 0 in microbleeds; their slices are 0 or 1.
        """
        size = (self.size[0], self.size[1], min(image.shape[-1], self.max_slices))
        return torch.cat([adaptive_avg_pool3d(image[:1], size), adaptive_max_pool3d((lesions > 0).to(image), size)])


class SliceBagd(MapTransform):
    """Make slices of scans, as the classifier is trained on them, see :class:`SliceBag`.

    Adds ``chance``, (1,), the probability that at least one of their microbleeds is real, see
    :func:`csvd.transforms.lesion_chance`.

    Args:
        keys: scans (``C + 1``, H, W, D), of which the last channel has the microbleeds, or NaN.
        bag: makes the slices.
        network: that of the bag's ``cascade``, in evaluation mode while it is used.
        found: also add ``found``, slices of the microbleeds that are found, (1, h, w, D), whatever mask there is, and
            ``found_chance``, theirs; an item may have ``found``, (1, H, W, D).
    """

    def __init__(
        self,
        keys: KeysCollection,
        bag: SliceBag,
        network: CascadeNetwork | SliceMaskRCNN,
        found: bool = False,
        allow_missing_keys: bool = False,
    ):
        super().__init__(keys, allow_missing_keys)
        self.bag = bag
        self.network = network
        self.found = found

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, Any]:
        """Replace the scans."""
        out = dict(data)
        training = self.network.training
        self.network.eval()
        for key in self.key_iterator(out):
            image = convert_to_tensor(out[key], track_meta=False)
            with torch.no_grad():
                image = image.to(next(self.network.parameters()).device)
                lesions = self.bag.lesions(image, self.network)
                out[key], out["chance"] = self.bag(image, lesions).cpu(), torch.tensor([lesion_chance(lesions)])
                if self.found:
                    known = out.get("found")
                    found = self.bag.found(image, self.network) if known is None else known.to(image)
                    out["found"] = self.bag(image, found)[1:].cpu()
                    out["found_chance"] = torch.tensor([lesion_chance(found)])
        self.network.train(training)
        return out


class SubtypeInferer(Inferer):
    """Classes of a scan, and what they rest on, as MONAI's evaluator calls it.

    Args:
        bag: makes slices of the scan.
        age: in years, where the caller gives no covariates; 0 for not known.
        sex: "F" or "M", in the same case; "unknown", or a list of such, of which none was chosen.
        left_out: how many slices, those of most attention, at most half, are left out to see what the answer rests on.
            Defaults to 6.

    Raises:
        ValueError: ``left_out`` is not positive.
        InputError: age outside 18 to 110 years, or a sex that is not known.
    """

    def __init__(self, bag: SliceBag, age: float = 0, sex: str | list[str] = "unknown", left_out: int = 6) -> None:
        super().__init__()
        check_positive("left_out", left_out)
        self.bag = bag
        self.left_out = left_out
        self.covariates = torch.tensor([[read_age(age, "`age`"), read_sex(sex, "`sex`")]])

    def __call__(
        self, inputs: torch.Tensor, network: Any, covariates: torch.Tensor | None = None, *args: Any, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        """Return what the network says of scans (B, C + 1, H, W, D), whose last channel has the microbleeds, or NaN.

        Args:
            inputs: scans.
            network: a :class:`csvd.networks.SubtypeNetwork`.
            covariates: (B, 2), see :class:`csvd.networks.AttentionMIL`.

        Returns:
            ``logits`` (B, classes); ``attention`` (B, 1, H, W, D), the same in all voxels of a slice; ``gradcam``
            (B, 1, H, W, D), in 0..1, for the likeliest class; ``lesions`` (B, 1, H, W, D), the probability of the
            microbleeds that it saw; ``weights`` (B, slices), the attention; ``top`` and ``change``, see
            :func:`leave_out`.
        """
        network = cast(SubtypeNetwork, network)
        images = convert_to_tensor(inputs, track_meta=False).float()
        covariates = self.covariates.expand(len(images), -1) if covariates is None else covariates
        each = [self._infer(*pair, network) for pair in zip(images, covariates.to(images.device), strict=True)]
        result = {key: torch.stack([one[key] for one in each]) for key in each[0]}
        maps = {key: convert_to_dst_type(result[key], inputs)[0] for key in ("attention", "gradcam", "lesions")}
        return {**result, **maps}

    def _infer(self, image: torch.Tensor, covariates: torch.Tensor, network: SubtypeNetwork) -> dict[str, torch.Tensor]:
        lesions = self.bag.lesions(image, network.cascade)
        slices = self.bag(image, lesions)[None]
        bag, is_real = network.classifier.instances(slices)
        logits, weights = network.classifier.answer(bag, is_real, covariates[None])
        flat = weights[:, None, None, None].expand(1, 1, *slices.shape[2:])
        maps = torch.cat([flat, gradcam(slices, network.classifier, covariates[None])], dim=1)
        attention, heat = interpolate(maps, image.shape[1:], mode="trilinear")[0, :, None]
        top, change = leave_out(network.classifier, bag, is_real, covariates[None], self.left_out)
        return {
            "logits": logits[0],
            "attention": attention,
            "gradcam": heat,
            "lesions": lesions,
            "weights": weights[0],
            "top": top,
            "change": change,
        }


def leave_out(
    classifier: AttentionMIL, bag: torch.Tensor, is_real: torch.Tensor, covariates: torch.Tensor | None, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the slices of most attention, and how the probability of the likeliest class changes without them.

    The features of a slice do not depend on the others, which is why one batch of attention and linear layer is what
    the network says of the scan without them.

    Args:
        classifier: in evaluation mode.
        bag: features of the slices of one scan (1, D, F), see :meth:`csvd.networks.AttentionMIL.instances`.
        is_real: which of them are no padding, (1, D).
        covariates: (1, 2), kept.
        count: how many, at most; of few slices half, so that those of most and of least attention are others.

    Returns:
        ``top`` (K,), the slices, that of most attention first. ``change`` (K + 2,), without each of them, without all
        of them, and without as many of those of least attention; NaN where that leaves no slice.
    """
    logits, weights = classifier.answer(bag, is_real, covariates)
    likeliest = int(logits.argmax())
    order = weights[0].argsort(descending=True, stable=True)[: int(is_real.sum())]
    count = max(1, min(count, len(order) // 2))
    top, least = order[:count], order[-count:]
    kept = is_real.repeat(len(top) + 2, 1)
    kept[torch.arange(len(top)), top] = False
    kept[-2, top] = False
    kept[-1, least] = False
    without = None if covariates is None else covariates.expand(len(kept), -1)
    answers, _ = classifier.answer(bag.expand(len(kept), -1, -1), kept, without)
    return top, answers.softmax(dim=1)[:, likeliest] - logits.softmax(dim=1)[0, likeliest]


class _Slices(torch.nn.Module):
    """The classifier as Grad-CAM++ wants it: the slices of one scan as a batch (D, 2, H, W)."""

    def __init__(self, classifier: AttentionMIL, covariates: torch.Tensor | None) -> None:
        super().__init__()
        self.classifier = classifier
        self.covariates = covariates

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return self.classifier(slices.movedim(0, -1)[None], self.covariates)


def gradcam(slices: torch.Tensor, classifier: AttentionMIL, covariates: torch.Tensor | None = None) -> torch.Tensor:
    """Return the evidence of each pixel for the most likely class, (1, 1, H, W, D), 0 to 1.

    By Grad-CAM++ [1]_, which is made for several small objects, on the first stage of the backbone, whose maps are
    finest: on simulated scans the heat of plain Grad-CAM, or of later stages, lies less often on microbleeds.

    Args:
        slices: of one scan, (1, 2, H, W, D).
        classifier: in evaluation mode.
        covariates: (1, 2).

    References:
        .. [1] Chattopadhay et al., Grad-CAM++, WACV 2018. https://doi.org/10.1109/WACV.2018.00097
    """
    # A copy, because MONAI's hooks stay.
    seen = GradCAMpp(_Slices(deepcopy(classifier), covariates), "classifier.backbone.layer1")
    is_real = real_slices(slices)[0]
    with torch.enable_grad():
        heat = seen.compute_map(slices[0, ..., is_real].movedim(-1, 0)).detach()  # (real slices, 1, h, w)
    heat = interpolate(heat, slices.shape[2:4], mode="bilinear")
    maps = torch.zeros_like(slices[:, :1])
    maps[0, ..., is_real] = (heat / heat.max().clamp(min=1e-12)).movedim(0, -1)
    return maps
