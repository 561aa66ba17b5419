"""Mask R-CNN on slices: its targets, its trainer, and what becomes of its objects in a volume."""

import pytest
import torch
import torchvision
from monai.data.utils import no_collation

from csvd.engines.slice_detection import DetectionTrainer, prepare_slices
from csvd.inferers.slices import SliceInferer
from csvd.networks.slice_mask_rcnn import SliceMaskRCNN
from csvd.transforms.slices.slice_target import SliceTargetd, slice_target

SMALL = {"image_size": 64, "rpn_post_nms_top_n_train": 50, "rpn_post_nms_top_n_test": 20}


def test_target_has_a_box_and_a_mask_for_each_microbleed():
    label = torch.zeros(8, 10)
    label[1:3, 4:7] = 5
    label[6, 9] = 5
    target = slice_target(label)
    assert target["boxes"].tolist() == [[4, 1, 7, 3], [9, 6, 10, 7]]
    assert target["labels"].tolist() == [1, 1]
    assert torch.equal(target["masks"].sum(dim=0).bool(), label != 0)


def test_slice_without_microbleeds_has_an_empty_target():
    target = slice_target(torch.zeros(8, 10))
    assert [tuple(target[name].shape) for name in ("boxes", "labels", "masks")] == [(0, 4), (0,), (0, 8, 10)]


def test_middle_slice_is_the_target():
    label = torch.zeros(1, 8, 10, 3)
    label[0, 2, 2, 0] = label[0, 5, 6, 1] = 1
    assert SliceTargetd("label")({"label": label})["label"]["boxes"].tolist() == [[6, 5, 7, 6]]


class Square:
    """Network that sees one object of 2 x 2 pixels wherever the middle channel is above 0, as sure as that is."""

    def __call__(self, images):
        results = []
        for image in images:
            score = image[1].max()
            mask = (image[1] > 0).float()
            found = int(score > 0)
            results.append({"scores": score.expand(found), "masks": mask.expand(found, 1, *mask.shape)})
        return results


def test_objects_of_neighbouring_slices_are_one_with_the_surest_score():
    scan = torch.zeros(1, 2, 8, 8, 6)
    scan[0, 0, 2:4, 2:4, 1] = 0.4
    scan[0, 0, 2:4, 2:4, 2] = 0.9
    scan[0, 0, 5:7, 5:7, 5] = 0.3
    probability, objects = SliceInferer(batch_size=4)(scan, Square())[0]
    torch.testing.assert_close(probability, scan[0, 0])
    torch.testing.assert_close(objects[2:4, 2:4, 1:3].unique(), torch.tensor([0.9]))
    torch.testing.assert_close(objects[5:7, 5:7, 5].unique(), torch.tensor([0.3]))
    assert (objects > 0).sum() == 12


def test_nothing_found_gives_empty_maps():
    assert not SliceInferer()(torch.zeros(1, 1, 8, 8, 6), Square()).any()


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="threshold"):
        SliceInferer(threshold=2)
    with pytest.raises(ValueError, match="batch_size"):
        SliceInferer(batch_size=0)


def items(count):
    label = torch.zeros(1, 48, 48, 3)
    label[0, 20:26, 30:36] = 1
    return [SliceTargetd("label")({"image": label[0].movedim(-1, 0).clone(), "label": label}) for _ in range(count)]


def test_groups_of_items_are_one_batch():
    images, targets, (again,), _ = prepare_slices([items(2), items(1)], device="cpu")
    assert len(images) == len(targets) == 3
    assert again is targets


@pytest.mark.slow
def test_it_learns_to_find_a_square():
    torch.manual_seed(0)
    network = SliceMaskRCNN(backbone="resnet18", out_channels=32, **SMALL)
    loader = torch.utils.data.DataLoader(items(40), batch_size=2, collate_fn=no_collation)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    trainer = DetectionTrainer(
        device=torch.device("cpu"), max_epochs=3, train_data_loader=loader, network=network, optimizer=optimizer
    )
    trainer.run()
    network.eval()
    with torch.no_grad():
        [found] = network([items(1)[0]["image"]])
    assert found["scores"][0] > 0.5
    torch.testing.assert_close(found["boxes"][0], torch.tensor([30.0, 20, 36, 26]), atol=1.5, rtol=0)


def test_weights_of_a_classification_network_carry_over(tmp_path):
    torch.manual_seed(0)
    trained = torchvision.models.resnet18()
    torch.save(trained.state_dict(), tmp_path / "rgb.pt")
    network = SliceMaskRCNN(backbone="resnet18", backbone_weights=str(tmp_path / "rgb.pt"), **SMALL)
    torch.testing.assert_close(network.backbone.body.conv1.weight, trained.conv1.weight)


def test_features_are_computed_in_half_precision_and_boxes_in_single():
    network = SliceMaskRCNN(backbone="resnet18", bfloat16=True, **SMALL).eval()
    computed_in = []
    network.backbone.body.conv1.register_forward_hook(lambda *call: computed_in.append(call[-1].dtype))
    found = network([torch.rand(3, 64, 64)])[0]
    assert computed_in == [torch.bfloat16]
    assert found["boxes"].dtype == torch.float32
    assert all(level.dtype == torch.float32 for level in network.backbone(torch.rand(1, 3, 64, 64)).values())


def test_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="'vgg16'"):
        SliceMaskRCNN(backbone="vgg16")
