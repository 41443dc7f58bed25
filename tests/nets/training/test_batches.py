"""Which images a step sees, in which order and with which partners."""

import dataclasses

import pytest
import torch

from nets.config import load_config
from nets.data.augment import Augment
from nets.data.order import keyed_order
from nets.training.build import build
from nets.training.launch import launched_fabric
from nets.training.trainer import Trainer

from .conftest import SETS, STEPS, epoch

STILL = ["crop=0", "rotate=0", "scale=0"]


@pytest.mark.parametrize(("world", "rank"), [(1, 0), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize(("seed", "number"), [(0, 0), (0, 1), (1, 0), (2**40, 7)])
def test_batches_are_the_keyed_order_cut_into_pieces(make, seed, number, world, rank):
    """Batch k is order[500 k : 500 (k + 1)], a rank's share a contiguous part of it, and the
    partner of order[i] is order[i + 1]."""
    t = make(f"seed={seed}")
    t.epoch, t.world, t.rank = number, world, rank
    order = keyed_order(t.train, seed=seed, epoch=number).tolist()
    follower = dict(zip(order, [*order[1:], order[0]], strict=True))
    for k, (samples, partners, total) in enumerate(t.shares()):
        piece = order[500 * k : 500 * (k + 1)]
        assert total == len(piece)
        share = torch.tensor(piece).tensor_split(world)[rank].tolist()
        assert samples.tolist() == share
        assert partners.tolist() == [follower[i] for i in share]
    assert k + 1 == STEPS
    assert [total for *_, total in t.batches()] == [500, 500, 295]
    assert t.within == 0


def test_orders_of_epochs_and_seeds_have_nothing_in_common(make):
    """Two random permutations of n agree in one place on average; 12 in common has a probability
    below 1e-9."""
    orders = []
    for seed, number in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1)):
        t = make(f"seed={seed}")
        t.epoch = number
        orders.append(torch.cat([samples for samples, _, _ in t.shares()]))
    for i, one in enumerate(orders):
        assert torch.equal(one.sort().values, orders[0].sort().values)
        assert all((one == other).sum() < 12 for other in orders[:i])


def test_training_goes_from_epoch_to_epoch_and_goes_on_inside_one(make):
    t, seen = make("seed=5"), []
    batch = t.batch
    t.batch = lambda samples, partners: seen.append(samples) or batch(samples, partners)
    for number in range(2):
        epoch(t)
        assert torch.equal(torch.cat(seen), keyed_order(t.train, seed=5, epoch=number))
        assert (t.epoch, t.within, t.step) == (number + 1, 0, STEPS * (number + 1))
        seen.clear()
    t.within = 1
    assert torch.equal(
        torch.cat([samples for samples, _, _ in t.shares()]),
        keyed_order(t.train, seed=5, epoch=2)[500:],
    )


@pytest.mark.parametrize(
    "sets",
    [["crop=2", "cutout=3"], ["policy=randaugment"], ["mixup=0.2", "cutmix=1"]],
    ids=lambda sets: sets[0],
)
@pytest.mark.parametrize("within", [0, 1])
def test_batches_augmented_together_are_those_augmented_one_by_one(make, sets, within):
    """As on a GPU, where several batches are augmented at once: equal in every bit, wherever the
    epoch goes on."""
    found = []
    for ahead in (1, 2, 5):
        t = make("batch_size=300", "seed=3", *sets)  # 1,295 images: four full batches and one of 95
        t.ahead, t.within = ahead, within
        found.append(list(t.batches()))
    for other in found[1:]:
        assert (
            [total for *_, total in other]
            == [total for *_, total in found[0]]
            == [300] * (4 - within) + [95]
        )
        for one, another in zip(found[0], other, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one[:3], another[:3], strict=True))


def test_images_are_drawn_by_seed_epoch_and_sample(make, data):
    samples = torch.from_numpy(data.train[:50])
    found = {}
    for seed, number in ((0, 0), (0, 3), (4, 0)):
        t = make(f"seed={seed}", "crop=2", "rotate=0", "scale=0")
        t.epoch = number
        found[seed, number], target = t.batch(samples, samples.roll(-1))
        by_hand = Augment(seed=seed, classes=10, mean=data.mean, std=data.std, crop=2)
        assert torch.equal(
            found[seed, number],
            by_hand.images(
                torch.from_numpy(data.images), samples, by_hand.draws(samples, number)
            ).double(),
        )
        assert target.tolist() == data.labels[data.train[:50]].tolist()
    assert all(not torch.equal(found[0, 0], found[key]) for key in ((0, 3), (4, 0)))


def test_mixed_targets_say_how_much_of_which_image_is_in_the_mixture(make, data):
    t = make("mixup=1", *STILL)
    samples, partners, _ = next(t.shares())
    x, target = t.batch(samples, partners)
    plain = (torch.from_numpy(data.images).double() / 255 - data.mean[0]) / data.std[0]
    labels = torch.from_numpy(data.labels)
    differ = labels[samples] != labels[partners]
    share = target.gather(1, labels[samples][:, None])[differ]
    torch.testing.assert_close(target.gather(1, labels[partners][:, None])[differ], 1 - share)
    share = share[..., None, None]
    expected = share * plain[samples][differ] + (1 - share) * plain[partners][differ]
    # images and shares are made in float32
    torch.testing.assert_close(x[differ], expected, rtol=0, atol=3e-6)
    # Beta(1, 1) is uniform: the share is the draw itself, another one in every epoch
    for number in (0, 2):
        t.epoch = number
        share = t.batch(samples, partners)[1].gather(1, labels[samples][:, None])[differ, 0]
        torch.testing.assert_close(
            share.float(), t.augment.draws(samples, number)["mix"][differ], rtol=0, atol=1e-6
        )


def test_a_partner_is_augmented_as_it_is_by_itself(make):
    """Mixed images are s of the one and 1 - s of the other as an epoch without mixing has them."""
    mixing, plain = make("mixup=1"), make()
    samples, partners, _ = next(mixing.shares())
    x, target = mixing.batch(samples, partners)
    (own, labels), (other, others) = (plain.batch(part, part) for part in (samples, partners))
    apart = labels != others
    share = target.gather(1, labels[:, None])[:, :, None, None]
    torch.testing.assert_close(x[apart], (other + share * (own - other))[apart], rtol=0, atol=1e-5)


def test_one_image_alone_makes_no_batch(data):
    for count, sets, steps in (
        (5, [], 2),
        (5, ["batch_size=3"], 2),
        (5, ["batch_size=3", "last_batch=drop"], 1),
        (7, ["batch_size=4"], 2),
        (7, ["batch_size=4", "ghost_groups=2"], 1),  # 2 and 1
    ):
        few = dataclasses.replace(data, train=data.train[:count])
        config = load_config("digits", [*SETS, "batch_size=2", *sets])
        assert (
            Trainer(
                config, launched_fabric(config.train), build(config, few)[0], few
            ).steps_per_epoch
            == steps
        )
