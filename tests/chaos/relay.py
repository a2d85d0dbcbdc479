"""A relay on loopback that makes the network between a service and its broker as bad as it can be.

No library on PyPI does that by itself: toxiproxy's need its server, which is neither there nor in Debian.
"""

import asyncio
import threading
from contextlib import suppress
from functools import partial

_READ_BYTES = 64 * 1024


class Relay:
    """Forwards a port to another, from a thread of its own, between `with` and its end.

    Args:
        port: where clients connect.
        upstream: the port of the real server.

    Attributes:
        delay_seconds: between what is read and what is written, in both directions; so also the bandwidth's bound.
        piece_bytes: most bytes that are forwarded at once: small ones cut messages anywhere.
        seen: how many connections there were.
    """

    def __init__(self, port, upstream):
        self.delay_seconds, self.piece_bytes, self.seen = 0.0, _READ_BYTES, 0
        self._port, self._upstream = port, upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._pairs, self._pumps, self._mute = [], set(), set()

    def __enter__(self):
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_):
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- what may happen to a network

    def cut(self):
        """Reset every connection."""
        self._do(self._cut())

    def half_close(self):
        """End the direction from the server to the client; the other one stays open, and goes on."""
        self._do(self._half_close())

    def hold(self):
        """Forward nothing, in either direction; connections are taken, and kept waiting."""
        self._do(self._set_open(open_=False))

    def release(self):
        """Forward what was held, and everything after."""
        self._do(self._set_open(open_=True))

    def lose(self):
        """Forget the connections without a word, as a router does that starts anew: nothing comes through again."""
        self._do(self._lose())

    def refuse(self):
        """Reset every connection, and refuse new ones."""
        self._do(self._stop_listening())
        self.cut()

    def accept(self):
        """Take connections again."""
        self._do(self._listen())

    # -- on its thread

    def _do(self, work):
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _start(self):
        self._open = asyncio.Event()
        self._open.set()
        await self._listen()

    async def _listen(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=_READ_BYTES)

    async def _stop_listening(self):
        self._server.close()

    async def _serve(self, from_client, to_client):
        self.seen += 1
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream, limit=_READ_BYTES)
        except OSError:
            to_client.transport.abort()
            return
        pair = to_client, to_server
        self._pairs.append(pair)
        for way in ((from_client, to_server), (from_server, to_client)):
            pump = asyncio.create_task(self._pump(*way))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)
            pump.add_done_callback(partial(self._hang_up, pair))

    async def _pump(self, source, sink):
        with suppress(OSError):
            while piece := await source.read(self.piece_bytes):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                await self._open.wait()
                if sink not in self._mute:
                    sink.write(piece)
                    await sink.drain()

    def _hang_up(self, pair, _):
        """Where one direction has ended, there is no use in the other."""
        for writer in pair:
            writer.transport.abort()
            self._mute.discard(writer)
        if pair in self._pairs:
            self._pairs.remove(pair)

    async def _cut(self):
        for pair in self._pairs:
            for writer in pair:
                writer.transport.abort()

    async def _half_close(self):
        for to_client, _ in self._pairs:
            if to_client not in self._mute and not to_client.is_closing():
                self._mute.add(to_client)
                to_client.write_eof()

    async def _set_open(self, *, open_):
        (self._open.set if open_ else self._open.clear)()

    async def _lose(self):
        self._mute |= {writer for pair in self._pairs for writer in pair}

    async def _end(self):
        await self._stop_listening()
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the turn after
