"""The wall clock of a process, and of all that it starts, set as a test likes; the monotonic clocks go on.

    clock = Clock(tmp_path)
    subprocess.Popen(..., env={**os.environ, **clock.environment})
    clock.set_forward(timedelta(hours=1))

A few lines of C come before the C library's own; needs a C compiler.
"""

import struct
import subprocess
from datetime import timedelta
from pathlib import Path

from tests import peers

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long long *offset_s;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) offset_s = found;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (!result && offset_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *offset_s;
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


class Clock:
    """One that can be set."""

    def __init__(self, folder: Path) -> None:
        """It begins right. Skips the test where there is no C compiler."""
        source, library = folder / "clock.c", folder / "clock.so"
        source.write_text(SHIM)
        command = [peers.program("cc"), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        self._offset = folder / "clock.offset"
        self._offset.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self._offset)}

    def set_forward(self, by: timedelta) -> None:
        """Against the right time; a negative one sets it back, none sets it right."""
        with self._offset.open("r+b") as file:
            file.write(struct.pack("q", int(by.total_seconds())))
