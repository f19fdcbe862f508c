"""Where libraries may write: a folder within the data folder, and nowhere else.

matplotlib keeps a list of fonts, torch and CUDA keep compiled kernels, others ask for a home folder or the name of the
user before they do anything. A service has neither: it may run as a user without a home and without a line in the
password file (containers, `DynamicUser=`). So each is told its place before it is imported, and children inherit that.
"""

import atexit
import os
import pwd
import shutil
import site
import sys
import tempfile
from pathlib import Path

CACHE = "cache"  # within the data folder; may be deleted while nothing runs
USER = "neurossl"


def settle_in(data_folder: Path) -> None:
    """Give the libraries of this process and of its children their place.

    Where the data folder is not there (yet), or may not be written to, it is a folder that goes with this process.
    """
    cache = data_folder / CACHE
    try:
        cache.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        cache = Path(tempfile.mkdtemp(prefix=f"{USER}-"))
        atexit.register(shutil.rmtree, cache, ignore_errors=True)
    os.environ.update(_environment(cache))
    if not _is_known():
        os.environ.update({name: os.environ.get(name, USER) for name in ("USER", "LOGNAME")})
    sys.dont_write_bytecode = True


def _environment(cache: Path) -> dict[str, str]:
    where = str(cache)
    return {
        "PYTHONUSERBASE": site.getuserbase(),  # else it follows HOME, and what is installed there is not found
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": where,
        "XDG_CACHE_HOME": where,
        "XDG_CONFIG_HOME": where,
        "XDG_DATA_HOME": where,
        "MPLCONFIGDIR": where,
        "TORCH_HOME": where,
        "TORCHINDUCTOR_CACHE_DIR": where,
        "TRITON_CACHE_DIR": where,
        "CUDA_CACHE_PATH": where,
        "HF_HOME": where,
        "HF_HUB_OFFLINE": "1",
    }


def _is_known() -> bool:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True
