"""Frames of an indexed clip, decoded in parts that begin at its key frames.

Every part is decoded on its own: the decoder is emptied between them. So a frame does not depend on where reading
began, and a clip can be divided among workers.

After a frame that cannot be decoded, frames that were coded later in the same part may be built on it and show its
damage without saying so. They count as lost, too: a frame is handed out only when every frame coded before it in its
part has come out whole.
"""

import contextlib
import dataclasses
import enum
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import av
import av.container
import av.error
import numpy
import numpy.typing

from blursynth import errors
from blursynth.media import declarations, demux, picture, stamp, video

Made = TypeVar("Made")


class Loss(enum.Enum):
    """Why a frame cannot be used."""

    DAMAGED = "could not be decoded"
    CHANGED = "has another size or format than the first"


class Decoder(Generic[Made]):
    """Reads ranges of frames. One after the other is fast; going back begins at a key frame again.

    make: what becomes of a decoded frame. Frames that an edit list hides are decoded, because others may be built on
    them, and left out. Not for several threads at once. `close` it, or let it go. Raises SourceError where the file is
    not the one that was indexed any more, or cannot be read.
    """

    def __init__(self, index: video.Index, make: Callable[[av.VideoFrame], Made]) -> None:
        self.index = index
        self._make = make
        self._file = contextlib.ExitStack()
        self._container: av.container.InputContainer | None = None
        self._part = -1
        self._frames: Iterator[Made | Loss] = iter(())
        self._next = 0  # number, hidden ones counted, of the frame that _frames gives next
        self._demuxed: Iterator[demux.Packet] = iter(())
        self._position = -1  # place in the order of decoding of the packet that comes next; -1: not known

    def close(self) -> None:
        self._file.close()
        self._container = None
        self._part, self._next, self._position = -1, 0, -1
        # The generators refer to this object: without them it is freed, with the decoder's frames, when it is let go.
        self._frames, self._demuxed = iter(()), iter(())

    def can_go_on_to(self, number: int) -> bool:
        """Whether frame `number` comes without going back, and no key frame lies between here and there."""
        number = int(self.index.shown[number])
        part = self._part_of(number)
        return self._stands_in(part, number) or self._next == self.index.keys[part] > 0

    def _stands_in(self, part: int, number: int) -> bool:
        return self._container is not None and self._part == part and self._next <= number

    @property
    def position(self) -> int:
        """Number of the frame that comes next."""
        return int(numpy.searchsorted(self.index.shown, self._next))

    def frames(self, first: int, stop: int) -> Iterator[Made | Loss]:
        """Frames first .. stop - 1 as stored (not upright), in order, each as made or the reason that it is none."""
        assert 0 <= first <= stop <= self.index.frames, (first, stop, self.index.frames)
        try:
            for number in self.index.shown[first:stop].tolist():
                with errors.boundary(self.index.path, "video"):
                    frame = self._frame(number)
                yield frame
        except errors.SourceError:
            self.close()
            raise

    def _frame(self, number: int) -> Made | Loss:
        """The frame of a number that counts hidden ones."""
        while True:
            part = self._part_of(number)
            if not self._stands_in(part, number):
                self._frames = self._decode(part)
                self._part, self._next = part, int(self.index.keys[part])
            for frame in self._frames:
                self._next += 1
                if self._next > number:
                    return frame

    def _part_of(self, number: int) -> int:
        return int(numpy.searchsorted(self.index.keys, number, side="right")) - 1

    def _decode(self, part: int) -> Iterator[Made | Loss]:
        """All frames of the part that begins at key frame number `part`, in order."""
        bounds = [*self.index.keys.tolist(), len(self.index.decoded)]
        first, stop = bounds[part], bounds[part + 1]
        order = self.index.order[first:stop]
        begin, end = int(order.min()), int(order.max()) + 1
        self._go_to(begin, first)
        codec = self._stream.codec_context
        held: _Held[Made] = _Held(order)
        # Frames after the next key frame that are shown before it belong to this part, and need that key frame.
        for packet in self._packets(begin, end):
            for frame in demux.decoded(codec, packet):
                number = self._number_of(frame, first + held.seen)
                if first <= number < stop:
                    held.arrive(number - first, self._checked(frame))
            yield from held.ready()
        held.end()
        yield from held.ready()

    def _packets(self, begin: int, end: int) -> Iterator[demux.Packet | None]:
        """Packets begin .. end - 1 in the order of decoding, then None, which empties the decoder."""
        for position in range(begin, end):
            packet = next(self._demuxed, None)
            if packet is None:
                self._position = -1
                break
            self._position = position + 1
            yield packet
        yield None

    def _go_to(self, position: int, number: int) -> None:
        """Make packet `position`, which begins the part of frame `number`, the next one to be read."""
        if self._container is None:
            self._reopen()
        if self._position != position and not self._seek(position, number):
            self._reopen()
            for _ in range(position):
                next(self._demuxed, None)
        if self._stream.codec_context.is_open:
            self._stream.codec_context.flush_buffers()  # nothing of the last part goes into this one

    def _seek(self, position: int, number: int) -> bool:
        """Try to jump; files without a good index of their own land elsewhere."""
        if not self.index.timed or self._container is None:
            return False
        try:
            self._container.seek(int(self.index.decoded[number]), stream=self._stream)
        except (av.error.FFmpegError, OverflowError):
            return False
        self._demuxed = self._demux()
        packet = next(self._demuxed, None)
        landed = self._place_of(packet)
        if packet is None or landed is None or landed > position:
            return False
        while landed != position:
            packet = next(self._demuxed, None)
            landed = self._place_of(packet)
            if packet is None or landed is None:
                return False
        self._demuxed = _joined(packet, self._demuxed)
        return True

    def _reopen(self) -> None:
        self._file.close()
        self._container = None
        if stamp.of(self.index.path).size != self.index.stamp.size:  # a copy elsewhere may have another time
            raise stamp.changed(self.index.path)
        self._container, self._stream = self._file.enter_context(demux.opened(self.index.path, self.index.stream))
        self._demuxed = self._demux()
        self._position = 0

    def _demux(self) -> Iterator[demux.Packet]:
        """Packets up to where the file ends or breaks off."""
        assert self._container is not None
        try:
            yield from demux.whole(self._container, self._stream)
        except errors.InputError:
            return
        except errors.SourceError:
            if not self.index.damage:  # some damage comes as an error of input and output, each time
                raise

    def _place_of(self, packet: demux.Packet | None) -> int | None:
        """Place of a packet in the order of decoding."""
        if packet is None or packet.pts is None:
            return None
        number = self._number_at(packet.pts)
        return None if number < 0 else int(self.index.order[number])

    def _number_of(self, frame: av.VideoFrame, counted: int) -> int:
        """Number of a decoded frame, -1 where it is none of the index's."""
        if not self.index.timed:
            return counted
        return -1 if frame.pts is None else self._number_at(frame.pts)

    def _number_at(self, time: int) -> int:
        number = int(numpy.searchsorted(self.index.decoded, time))
        found = number < len(self.index.decoded) and int(self.index.decoded[number]) == time
        return number if found else -1

    def _checked(self, frame: av.VideoFrame) -> Made | Loss:
        if (frame.height, frame.width) != self.index.stored_size or frame.format.name != self.index.format:
            return Loss.CHANGED
        if frame.is_corrupt:
            return Loss.DAMAGED
        if not self._is_alike(frame):
            return Loss.CHANGED
        return self._make(frame)

    def _is_alike(self, frame: av.VideoFrame) -> bool:
        """Whether a frame declares what the first one does; its orientation need not be repeated."""
        first, tags = self.index.tags, declarations.tags(frame)
        if not tags.orientation:
            tags = dataclasses.replace(tags, orientation=first.orientation)
        return tags == first and declarations.opaque(frame)


class Reader(Decoder[picture.Picture]):
    """Reads frames as planes."""

    def __init__(self, index: video.Index) -> None:
        super().__init__(index, lambda frame: _picture(frame, index.coding))


def _picture(frame: av.VideoFrame, coding: picture.Coding | None) -> picture.Picture:
    stored = video.planar(frame)
    return picture.Picture(tuple(_plane(plane, stored) for plane in stored.planes), coding)


class _Held(Generic[Made]):
    """Frames of one part on their way out: in order, and each only when what it may be built on is known to be whole.

    order: places in the order of decoding of the part's frames, (n,).
    """

    def __init__(self, order: numpy.typing.NDArray[numpy.int64]) -> None:
        self._by_place = numpy.argsort(order).tolist()
        self._rank = {frame: rank for rank, frame in enumerate(self._by_place)}
        self._came: dict[int, Made | Loss] = {}
        self._whole = 0  # so many frames, in the order of decoding, have come or are known to be lost
        self._first_loss = len(order)
        self._next = 0
        self.seen = 0

    def arrive(self, frame: int, found: Made | Loss) -> None:
        """Frame `frame` of the part came out of the decoder, which keeps their order: those left out are lost."""
        for missing in range(self.seen, frame):
            self._came[missing] = Loss.DAMAGED
        self._came[frame] = found
        self.seen = max(self.seen, frame + 1)
        self._advance()

    def end(self) -> None:
        """The decoder is empty: what has not come is lost."""
        for missing in range(self.seen, len(self._by_place)):
            self._came[missing] = Loss.DAMAGED
        self.seen = len(self._by_place)
        self._advance()

    def _advance(self) -> None:
        while self._whole < len(self._by_place) and self._by_place[self._whole] < self.seen:
            if isinstance(self._came.get(self._by_place[self._whole]), Loss):
                self._first_loss = min(self._first_loss, self._whole)
            self._whole += 1

    def ready(self) -> Iterator[Made | Loss]:
        """The next frames that nothing is left to be known of."""
        while self._next < self.seen and self._rank[self._next] < self._whole:
            found = self._came.pop(self._next)
            damaged = self._rank[self._next] > self._first_loss and not isinstance(found, Loss)
            self._next += 1
            yield Loss.DAMAGED if damaged else found


def _joined(first: demux.Packet, rest: Iterator[demux.Packet]) -> Iterator[demux.Packet]:
    yield first
    yield from rest


def _plane(plane: av.video.plane.VideoPlane, frame: av.VideoFrame) -> picture.Plane:
    """A plane's samples without the padding of its rows: a view of the decoder's memory."""
    if frame.format.name == "rgb24":
        rgb = _samples(plane, numpy.uint8)[:, : 3 * frame.width]
        return rgb.reshape(frame.height, frame.width, 3)
    deep = frame.format.components[0].bits > 8
    return _samples(plane, numpy.uint16 if deep else numpy.uint8)[:, : plane.width]


def _samples(plane: av.video.plane.VideoPlane, dtype: type[numpy.generic]) -> picture.Plane:
    """A plane with its rows' padding."""
    return numpy.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
