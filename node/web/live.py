"""Server-sent events (HTML living standard, 9.2): who looks at a page hears when it has changed.

However many browsers look, one look a second is taken at the data folder, and what several of them see is made once.
Nobody looks: nothing is asked.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import StreamingResponse

from node.process.heartbeat import pulses
from node.web.site import Site
from storage import events, studies

TICK_S = 1.0
STILL_THERE_S = 15.0  # so often something is said, so that a connection that has gone is noticed
MOST_STREAMS = 300
Parts = Mapping[str, tuple[str, str]]  # of a page by their names: what they depend on as a short text, and their HTML


class Live:
    """One for the process; used in its event loop alone."""

    def __init__(self, site: Site) -> None:
        """Nothing is asked before somebody looks."""
        self._site = site
        self._state: Hashable = None
        self._changed = asyncio.Event()
        self._made: dict[Hashable, asyncio.Task[Any]] = {}
        self._watcher: asyncio.Task[None] | None = None
        self.streams = 0

    def stream(self, request: Request, view: Hashable, make: Callable[[], Parts]) -> StreamingResponse:
        """What `make` gives for this view, and again what of it has changed, for as long as somebody listens."""
        return StreamingResponse(
            self._messages(request, view, make), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )

    async def _messages(self, request: Request, view: Hashable, make: Callable[[], Parts]) -> AsyncIterator[str]:
        known: dict[str, str] = {}
        self.streams += 1
        try:
            await self._look()  # what was made for others may be older than the page that was just loaded
            while not self._site.closing.is_set():
                changed = self._watched()
                if not self._is_still_let_in(request):
                    yield "event: gone\ndata: \n\n"
                    return
                parts: Parts = await self._made_once(view, make)
                new = {name: part for name, part in parts.items() if known.get(name) != part[0]}
                if new or known.keys() != parts.keys():
                    yield f"data: {json.dumps({'order': list(parts), 'parts': new})}\n\n"
                    known = {name: mark for name, (mark, _) in parts.items()}
                else:
                    yield ": still there\n\n"
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), STILL_THERE_S)
        finally:
            self.streams -= 1

    def _is_still_let_in(self, request: Request) -> bool:
        return self._site.door.visitor(request, request.state.session, by_script=True) is not None

    async def _made_once(self, view: Hashable, make: Callable[[], Parts]) -> Parts:
        """The same for everybody who asks before something changes."""
        if view not in self._made:
            self._made[view] = asyncio.ensure_future(run_sync(make))
        made: Parts = await asyncio.shield(self._made[view])
        return made

    def _watched(self) -> asyncio.Event:
        """What is set at the next change; somebody watches for it."""
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.ensure_future(self._watch())
        return self._changed

    async def _watch(self) -> None:
        while self.streams:
            await self._look()
            if self._site.closing.is_set():
                return
            self._made = {}
            await asyncio.sleep(TICK_S)

    async def _look(self) -> None:
        state = await run_sync(partial(state_of, self._site))
        if state != self._state or self._site.closing.is_set():
            self._state, self._made = state, {}
            self._changed.set()
            self._changed = asyncio.Event()


def state_of(site: Site) -> Hashable:
    """Another value whenever a page may look different: the last event, what comes in, what the processes say."""
    signs = pulses(site.folder.path("locks"))
    told = [(sign.role, sign.beats, _told(sign.facts)) for sign in signs]
    newest = events.newest(site.db, 1)
    coming = tuple((study.study_instance_uid, study.version) for study in studies.receiving(site.db))
    return newest[-1].event_id if newest else 0, coming, json.dumps(told, sort_keys=True, default=str)


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Without what changes by itself."""
    return {name: value for name, value in facts.items() if name in ("job", "stage", "done", "of", "destinations")}
