"""Moving objects: laws, closed forms, and a slow reference that lays layers over one another at every moment."""

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
import reference_shake
from hypothesis import strategies as st

from blursynth import errors
from blursynth.config import objects as objects_config
from blursynth.config import toml
from blursynth.kernels import pose, response, rigid_motion
from blursynth.synthesis import crop, objects, shake, uniform

SIZE, TOP, LEFT = 64, 40, 50
DRAWS = np.random.default_rng(5)
PHOTO = DRAWS.integers(0, 256, (150, 180, 3), dtype=np.uint8)
ITEMS = np.arange(6, dtype=np.int64)
DOWN, ACROSS = np.mgrid[0:150, 0:180]
DISC = (DOWN - 70) ** 2 + (ACROSS - 85) ** 2 < 15**2
BAR = (abs(DOWN - 90) < 8) & (abs(ACROSS - 95) < 30)
REST = np.zeros((41, 6), np.float32)
Floats32 = npt.NDArray[np.float32]


def request(**values: object) -> objects_config.Objects:
    return toml.build({"size": SIZE, "motion": "2:9", "object_motion": "5:20"} | values, objects_config.Objects)


def cut(photo: npt.NDArray[np.uint8] = PHOTO) -> crop.Crop:
    return crop.Crop(photo, TOP, LEFT, SIZE, SIZE)


def frame() -> pose.View:
    return shake.view(request(), cut())


def own(px: float, turn: float = 0.0, seed: int = 0) -> Floats32:
    draws = np.random.default_rng(seed)
    path = np.cumsum(draws.normal(size=(41, 3)) * [1, 1, 0.1], axis=0)
    path[:, :2] *= px / np.abs(path[:, :2]).max()
    path[:, 2] *= turn
    return (path - path[20]).astype(np.float32)


def camera(turn: float = 0.004) -> Floats32:
    path = np.cumsum(np.random.default_rng(9).normal(size=(41, 6)) * [turn, turn, turn, 0.002, 0.002, 0.002], axis=0)
    return (path - path[20]).astype(np.float32)


def moved(
    masks: list[npt.NDArray[np.bool_]],
    owns: list[Floats32],
    path: Floats32 = REST,
    photo: npt.NDArray[np.uint8] = PHOTO,
    **values: object,
) -> objects.Moved:
    asked = request(**values)
    table = response.decode_table(asked.transfer)
    own_paths = np.array(owns).reshape(-1, 41, 3)
    return objects.blur(asked, cut(photo), masks, path, own_paths, 2.0, None, table)


def codes(found: objects.Moved, transfer: str = "gamma2.2") -> npt.NDArray[np.int64]:
    return response.encode(found.shaken.light_HWC, transfer).astype(np.int64)


def parts(found: objects.Moved, owns: list[Floats32]) -> list[rigid_motion.Body]:
    each = zip(owns, found.pivots_B2, found.boxes_B4, strict=True)
    return [objects.part(by, pivot, box, frame()) for by, pivot, box in each]


@pytest.mark.parametrize("transfer", ["gamma2.2", "srgb", "linear"])
@pytest.mark.parametrize("grow", [0, 3])
def test_nothing_that_moves_is_the_identity(transfer: str, grow: int) -> None:
    still = np.zeros((41, 3), np.float32)
    found = moved([DISC, BAR], [still, still], transfer=transfer, grow=grow)
    assert np.array_equal(codes(found, transfer), PHOTO[TOP : TOP + SIZE, LEFT : LEFT + SIZE])
    assert (found.shaken.motion, found.motions) == (0.0, (0.0, 0.0))


def test_an_object_as_large_as_the_photo_is_convolution_with_its_psf() -> None:
    path = own(9)
    found = moved([np.ones((150, 180), bool)], [path])
    points = np.array([[32, 32]])
    kernel = objects.psfs(REST, parts(found, [path]), np.array([1]), frame(), 2.0, 0.0, points, 41)[0]
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    even = uniform.blur(cut(), kernel, "gamma2.2")
    assert np.abs(codes(found) - even).max() <= 1
    assert (found.mask_HW == 1).all()


def test_a_scene_of_one_colour_keeps_it() -> None:
    photo = np.full_like(PHOTO, (200, 30, 90))
    found = moved([DISC, BAR], [own(12, 1, 1), own(15, 1, 2)], camera(), photo)
    assert np.array_equal(codes(found), np.broadcast_to((200, 30, 90), (SIZE, SIZE, 3)))


@pytest.mark.parametrize("readout", [0.0, 0.7])
def test_it_equals_the_slow_reference(readout: float) -> None:
    asked, view, path = request(readout=readout, grow=1), frame(), camera()
    masks, owns = [BAR, DISC], [own(8, 1, 3), own(11, 1, 4)]
    found = objects.blur(asked, cut(), masks, path, np.array(owns), 2.0, None, response.decode_table("gamma2.2"))
    margin, centre = 36, (view.centre_x, view.centre_y)
    grown = [objects.grown(mask, 1) for mask in (DISC, BAR)]  # the bar ends lower: it is in front
    alphas = [cut().around(mask, margin) for mask in grown]
    picture = cut().window(margin)
    union = alphas[0] | alphas[1]
    behind = np.where(union[..., None], objects.continued(picture, union), picture)
    layers = [np.concatenate([light(behind), np.ones((*union.shape, 1))], axis=2)]
    layers += [np.concatenate([light(picture) * alpha[..., None], alpha[..., None]], axis=2) for alpha in alphas]
    in_order = parts(found, owns)[::-1]
    taken = rigid_motion.samples(path, in_order, view, 0.5, 1.0, readout / (SIZE - 1))
    backward = [[np.linalg.inv(reference_shake.homography(each, view.focal, 0.5)) for each in taken.camera.pose_T6]]
    for body, own_T3 in zip(in_order, taken.own_BT3, strict=True):
        both = zip(taken.camera.pose_T6, own_T3, strict=True)
        backward.append(
            [np.linalg.inv(reference_shake.body(each, by, body.pivot, view.focal, 0.5)) for each, by in both]
        )
    expected = reference_shake.laid_over(layers, margin, backward, taken.camera.weights_RT.astype(np.float64), centre)
    wanted = response.encode(expected.astype(np.float32), "gamma2.2")
    assert np.abs(codes(found) - wanted).max() <= 1
    assert np.array_equal(found.mask_HW[grown[1][TOP : TOP + SIZE, LEFT : LEFT + SIZE]], np.ones(inside(grown[1])))
    means = [np.argwhere(mask).mean(axis=0)[::-1] - (LEFT, TOP) for mask in masks]
    assert np.allclose(found.pivots_B2, means, atol=1e-4)
    edges = [[*np.argwhere(mask).min(axis=0)[::-1] - 1, *np.argwhere(mask).max(axis=0)[::-1] + 1] for mask in masks]
    assert np.array_equal(found.boxes_B4, np.array(edges) - (LEFT, TOP, LEFT, TOP))
    assert found.motions == (taken.motions[1], taken.motions[0])


def light(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    return response.decode(picture, "gamma2.2").astype(np.float64)


def inside(mask: npt.NDArray[np.bool_]) -> int:
    return int(mask[TOP : TOP + SIZE, LEFT : LEFT + SIZE].sum())


def test_what_is_far_from_an_object_is_blurred_by_the_camera_alone() -> None:
    path, still = camera(), np.zeros((41, 3), np.float32)
    mask = (abs(DOWN - 48) < 5) & (abs(ACROSS - 58) < 5)
    found, plain = moved([mask], [own(6)], path), moved([mask], [still], path)
    assert np.abs(codes(found)[30:, 30:] - codes(plain)[30:, 30:]).max() <= 2  # at other moments of the same path
    assert np.abs(codes(found)[:20, :20] - codes(plain)[:20, :20]).max() > 20


def test_a_square_over_a_plain_wall_is_light_where_it_has_been_for_as_long() -> None:
    """The wall that it uncovers is whole, and what its mask leaves out of it stays behind: grow takes it along."""
    photo = np.full((150, 180, 3), 60, np.uint8)
    square = (abs(DOWN - 72) < 10) & (abs(ACROSS - 82) < 10)
    photo[square] = 250
    path = np.zeros((41, 3), np.float32)
    path[:, 0] = np.linspace(-12, 12, 41)
    for mask in (square, (abs(DOWN - 72) < 9) & (abs(ACROSS - 82) < 9)):  # as it is, and a pixel too small
        seen = moved([mask], [path], photo=photo).shaken.light_HWC[32, :, 0]
        white, wall = light(np.array([250, 60], np.uint8))
        column = np.arange(SIZE) + LEFT
        moments = np.linspace(-12, 12, 2001)
        covered = np.array([np.clip(10 - abs(x - 82 - moments), 0, 1).mean() for x in column])
        assert np.abs(seen - (wall + covered * (white - wall))).max() < 0.02 * (white - wall)


def test_what_ends_lower_is_in_front() -> None:
    photo = PHOTO.copy()
    photo[DISC], photo[BAR] = 20, 240
    still = np.zeros((41, 3), np.float32)
    up = still.copy()
    up[:20, 1] = -14.0
    for masks, owns in (([DISC, BAR], [still, up]), ([BAR, DISC], [up, still])):
        found = moved(masks, owns, photo=photo)
        assert codes(found)[76 - TOP, 85 - LEFT, 0] > 100  # the bar before the disc, for half of the time


@pytest.mark.parametrize("path", ["gaussian", "boracchi-foi"])
def test_objects_come_as_far_as_was_asked(path: str) -> None:
    asked = request(object_path=path, object_motion="5,20", spin="0:3", objects=4, knots=101)
    found = objects.paths(asked, 3, ITEMS)
    assert found.shape == (6, 4, 101, 3)
    lengths = np.hypot(*np.moveaxis(np.diff(found[..., :2].astype(np.float64), axis=2), 3, 0)).sum(axis=2)
    assert np.isclose(lengths[..., None], [5, 20], rtol=1e-4).any(axis=2).all()
    assert len(np.unique(np.rint(lengths))) == 2
    assert not found[:, :, 50].any()
    assert len(np.unique(found[:, :, -1, 2])) == 24


def test_items_alone_equal_items_together() -> None:
    for path in ("gaussian", "boracchi-foi"):
        asked = request(object_path=path)
        assert np.array_equal(objects.paths(asked, 3, ITEMS)[2], objects.paths(asked, 3, ITEMS[2:3])[0])
        one, all_ = objects.choice(asked, 3, ITEMS[2:3]), objects.choice(asked, 3, ITEMS)
        assert one.count[0] == all_.count[2]
        assert np.array_equal(one.order[0], all_.order[2])
    assert set(objects.choice(request(objects=3), 3, np.arange(100)).count.tolist()) == {1, 2, 3}


@hypothesis.given(
    data=st.data(), size=st.integers(8, 200), uniform_=st.floats(0, 1, exclude_max=True), extent=st.integers(1, 200)
)
def test_crops_hold_the_whole_object_or_nothing_else(
    data: st.DataObject, size: int, uniform_: float, extent: int
) -> None:
    extent = min(extent, size)
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first, size - 1))
    at = objects.begin(np.array([first, last]), extent, size, uniform_)
    assert 0 <= at <= size - extent
    assert (at <= first and last < at + extent) or (first <= at and at + extent - 1 <= last)


@pytest.mark.parametrize("readout", [0.0, 0.5])
def test_the_psf_on_an_object_is_what_a_point_of_light_there_becomes(readout: float) -> None:
    photo = np.zeros((150, 180, 3), np.uint8)
    photo[72, 88] = 255
    path, by, other = camera(), own(9, 1), own(6, 0, 1)
    aside = (abs(DOWN - 45) < 2) & (abs(ACROSS - 105) < 4)
    done = moved([DISC, aside], [by, other], path, photo, transfer="linear", readout=readout)
    point = np.array([[72 - TOP, 88 - LEFT]])
    whose = done.mask_HW[tuple(point.T)]
    kernel = objects.psfs(path, parts(done, [by, other]), whose, frame(), 2.0, readout, point, 41)[0]
    around_ = np.pad(done.shaken.light_HWC[..., 0], 20)[72 - TOP : 72 - TOP + 41, 88 - LEFT : 88 - LEFT + 41]
    assert kernel.max() > 0.02
    assert np.abs(around_ / around_.sum() - kernel).max() < 1e-4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth": None, "depth_maps": {}}, "one plane"),
        ({"least": 0.5, "greatest": 0.4}, "least"),
        ({"object_motion": "5:80"}, "out of a crop of 64 px"),
        ({"objects": 0}, "objects"),
        ({"objects": 17}, "objects"),
        ({"spin": "-1"}, "spin"),
    ],
)
def test_requests_that_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(errors.RecipeError, match=message):
        request(**values)


def test_a_window_full_of_objects_has_no_background_to_continue() -> None:
    full = np.ones((20, 30), bool)
    assert np.array_equal(objects.continued(PHOTO[:20, :30], full), PHOTO[:20, :30])
    assert np.array_equal(objects.continued(PHOTO[:20, :30], ~full), PHOTO[:20, :30])
