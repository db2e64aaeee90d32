"""What a worker is asked to see: few files whatever there are, and the very folder that is written into."""

import dataclasses
import pathlib
import pickle

import fake_maker
import kinds
import pytest

from blursynth.production import maker as makers
from blursynth.production import resume, run, visibility
from blursynth.storage import lock, writer

FAKE = fake_maker.Fake()


def begun(maker: makers.Maker, path: pathlib.Path, token: str) -> visibility.Sight:
    """What is to be seen of a dataset of which nothing is made yet."""
    job = resume.look(maker, str(path))
    if job.state is resume.State.NEW:
        writer.create(job.path, maker.schema, maker.record())
    return visibility.of(maker, job.path, job.identity, token)


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_every_kind_of_source_is_missed(kind: str, tmp_path: pathlib.Path) -> None:
    """Whatever a maker reads: nothing is wrong while it is there, and every file of it is missed."""
    maker = kinds.make(kind, tmp_path / "sources")
    with lock.held(str(tmp_path / "a.zarr")) as token:
        seen = begun(maker, tmp_path / "a.zarr", token)
        assert seen.problem() is None
        assert bool(seen.files) == (kind not in ("trajectories", "scenes"))
        for file in seen.files:
            path = pathlib.Path(file.root, file.name)
            content = path.read_bytes()
            for damage in (content[:-1], content[:-1] + bytes([content[-1] ^ 1]), content + b"\0"):
                path.write_bytes(damage)
                assert str(path) in (seen.problem() or "")
            path.unlink()
            assert str(path) in (seen.problem() or "")
            path.write_bytes(content)
        assert seen.problem() is None


def test_what_lies_beside_photos_is_looked_at_too(tmp_path: pathlib.Path) -> None:
    for kind, folder in (("photos shaken at depths", "depth"), ("photos with moving objects", "masks")):
        roots = {file.root for file in begun(kinds.make(kind, tmp_path / kind), tmp_path / f"{folder}.zarr", "").files}
        assert {pathlib.Path(root).relative_to(tmp_path / kind).parts[0] for root in roots} == {"photos", folder}


def test_the_output_has_to_be_the_very_same_folder(tmp_path: pathlib.Path) -> None:
    """A folder of the same name with the same dataset begun in it, but without the lock, is another one."""
    path = tmp_path / "a.zarr"
    with lock.held(str(path)) as token:
        seen = begun(FAKE, path, token)
        assert seen.problem() is None
        for other in (dataclasses.replace(seen, token="another"), dataclasses.replace(seen, identity="another")):
            assert str(path) in (other.problem() or "")
        (path / "digest" / "zarr.json").unlink()
        (path / "digest").rmdir()
        assert str(path) in (seen.problem() or "")
    assert str(path) in (seen.problem() or "")


def test_looking_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.zarr"
    with lock.held(str(path)) as token:
        seen = begun(FAKE, path, token)
        before = sorted(tmp_path.rglob("*"))
        assert seen.problem() is None
        assert sorted(tmp_path.rglob("*")) == before
        (path / "digest" / "probe-0.__lock").touch()  # as of one that was killed
    run.produce(FAKE, path)
    assert not list(path.rglob("probe*"))


def test_few_files_are_asked_for_of_however_many() -> None:
    names = [(f"/photos/{kind}", f"{k % 1000:03d}/{k:06d}.jpg") for kind in ("a", "b") for k in range(250_000)]
    chosen = visibility.some(names)
    assert len(chosen) <= visibility.MOST
    assert chosen == visibility.some(names)
    assert {root for root, _ in chosen} == {"/photos/a", "/photos/b"}
    assert (names[0] in chosen, names[-1] in chosen) == (True, True)
    assert len({name.partition("/")[0] for _, name in chosen}) >= 16
    assert (
        len(
            pickle.dumps(visibility.Sight("p", "i", "t", tuple(visibility.Glimpse(*file, "0" * 64) for file in chosen)))
        )
        < 20_000
    )


def test_every_folder_of_a_few_is_asked_for() -> None:
    names = [("/photos", f"many/{k:05d}.png") for k in range(10_000)] + [("/photos", "lone/1.png")]
    assert ("/photos", "lone/1.png") in visibility.some([names[-1], *names[:-1]])
    middle = [*names[:5000], names[-1], *names[5000:-1]]
    assert ("/photos", "lone/1.png") in visibility.some(middle)


def test_many_clips_are_a_folder_each() -> None:
    chosen = visibility.some([(f"/clips/{k}", f"{frame:04d}.png") for k in range(200) for frame in range(50)])
    assert len(chosen) == visibility.MOST
    assert len({root for root, _ in chosen}) == visibility.MOST


@pytest.mark.slow
def test_photos_and_pairs_in_an_object_store(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    object_store = pytest.importorskip("object_store", reason="moto and boto3 are not installed")
    from blursynth.makers import convolve, imported_pairs_request

    with object_store.served() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        bucket = f"s3://{object_store.BUCKET}"
        for prefix, folder in (("photos", kinds.photos(tmp_path / "p")), ("tars", kinds.pair_tars(tmp_path / "t", 10))):
            for file in folder.iterdir():
                server.put(f"{prefix}/{file.name}", file.read_bytes())
        asked = {"seed": 4, "size": 24, "transfer": "srgb", "length": "5:20", "steps": 200}
        for name, maker in (
            ("a", convolve.maker(f"{bucket}/photos", asked)),
            ("b", imported_pairs_request.maker("webdataset", f"{bucket}/tars", {"seed": 4, "transfer": "srgb"})),
        ):
            path = f"{bucket}/{name}.zarr"
            with lock.held(path) as token:
                job = resume.look(maker, path)
                writer.create(path, maker.schema, maker.record())
                seen = visibility.of(maker, path, job.identity, token)
                assert seen.files
                assert seen.problem() is None
                lost = seen.files[0]
                server.delete(f"{lost.root.removeprefix(bucket + '/')}/{lost.name}")
                assert lost.name in (seen.problem() or "")
            assert path in (seen.problem() or "")
