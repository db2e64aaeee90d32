"""Which frames go into which window, and what may be asked for."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blursynth import errors
from blursynth.config import average_frames, toml
from blursynth.synthesis import windows


def recipe(**values: object) -> average_frames.AverageFrames:
    return toml.build(values, average_frames.AverageFrames)


@given(
    st.sampled_from(["11", "7-13", "3,25", "2", "5-25"]),
    st.none() | st.integers(1, 40),
    st.lists(st.integers(1, 300), min_size=1, max_size=4),
    st.integers(0, 2**62),
)
def test_windows_tile_clips(frames: str, stride: int | None, lengths: list[int], seed: int) -> None:
    request = recipe(frames=frames, target=0, stride=stride)
    clips = [(f"clip{k}", length) for k, length in enumerate(lengths)]
    plan = windows.plan(request, seed, clips)
    rows = list(zip(plan.clip.tolist(), plan.first.tolist(), plan.frames.tolist(), strict=True))
    assert all(first + count <= lengths[clip] and count in request.frames for clip, first, count in rows)
    for (clip, first, count), (other, second, _) in itertools.pairwise(rows):
        assert other > clip or second - first == (stride or count)
    for number, length in enumerate(lengths):
        own = [(first, count) for clip, first, count in rows if clip == number]
        end = max((first + (stride or count) for first, count in own), default=0)
        assert end + max(request.frames) > length, "another window fits"
    fewer = windows.plan(request, seed, clips[:-1] or clips)
    assert fewer.first.tolist() == plan.first.tolist()[: len(fewer)], "a clip at the end changed what is before it"


def test_every_count_is_drawn() -> None:
    plan = windows.plan(recipe(preset="deblurgan-detection"), 0, [("a", 30_000)])
    shares = [(plan.frames == count).mean() for count in range(5, 26)]
    assert shares[1::2] == [0] * 10
    assert all(abs(share - 1 / 11) < 0.03 for share in shares[::2])
    other = windows.plan(recipe(preset="deblurgan-detection"), 1, [("a", 30_000)])
    assert plan.frames.tolist()[:50] != other.frames.tolist()[:50]


def test_m_from_the_sequence_name() -> None:
    clips = [("GOPR0372_07_00", 70), ("gopro240_GOPR0477_13_00", 130), ("holiday", 110)]
    assert set(windows.plan(recipe(), 0, clips).frames.tolist()[:10]) == {7}
    assert windows.plan(recipe(), 0, clips).frames.tolist() == [7] * 10 + [13] * 10 + [11] * 10
    assert set(windows.plan(recipe(frames=5), 0, clips).frames.tolist()) == {5}
    assert windows.named_frames("GOPR0372_01_00") is None


def test_duty_cycle_sets_the_stride() -> None:
    plan = windows.plan(recipe(frames=11, duty_cycle=0.5), 0, [("a", 100)])
    assert plan.first.tolist() == [0, 22, 44, 66, 88]
    assert windows.plan(recipe(frames=11, stride=4), 0, [("a", 23)]).first.tolist() == [0, 4, 8, 12]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"frames": 8}, "no middle one"),
        ({"frames": 8, "target": 8}, "no frame 8 in a window of 8"),
        ({"frames": "8-8"}, "no odd number"),
        ({"frames": "a"}, "not a number, a list"),
        ({"frames": 1}, "frames.0: Input should be greater than or equal to 2"),
        ({"stride": 5, "duty_cycle": 0.5}, "give one"),
        ({"duty_cycle": 1.5}, "duty_cycle"),
        ({"duty_cycle": 1e-320}, "duty_cycle"),
        ({"duty_cycle": float("nan")}, "duty_cycle"),
        ({"transfer": "table"}, "response table"),
        ({"frames": 255, "interpolate": 20}, "more than 1025"),
        ({"motion": False, "max_step": 3}, "need motion"),
        ({"crop": "grid"}, "crops need a size"),
        ({"frmaes": 11}, "did you mean 'frames'"),
        ({"preset": "gopr"}, "preset"),
    ],
)
def test_what_cannot_be_asked_for(values: dict[str, object], words: str) -> None:
    with pytest.raises(errors.RecipeError, match=words):
        recipe(**values)


def test_presets_and_text_read_back() -> None:
    assert recipe(preset="kohler").transfer == "linear"
    assert recipe(preset="deblurgan-detection").frames == tuple(range(5, 26, 2))
    for request in (recipe(), recipe(frames="7-13", size=64, per_window=3, splits={"train": 1.0, "val": 0.0})):
        assert toml.parse(toml.to_toml(request), average_frames.AverageFrames) == request
