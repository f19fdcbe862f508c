"""Commands of `neurossl user`: who may log in to the pages."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from node.cli.service import DEFAULT, Config, load, one_line_errors

if TYPE_CHECKING:
    from node.access.users import Users

Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and . _ @ -.")]
RoleName = Annotated[str, typer.Option("--role", help="read looks, operate also retries and cancels, admin does all.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(help="Who may log in to the pages, where web.authentication is users.", no_args_is_help=True)
    group.command()(add)
    group.command(name="list")(show)
    group.command()(remove)
    group.command()(passwd)
    app.add_typer(group, name="user")


def add(name: Name, role: RoleName = "read", config: Config = DEFAULT) -> None:
    """Add a user; the password is asked for, or read from standard input."""
    from node.access.users import UserRefused
    from node.access.visitor import Role

    with _users(config) as users:
        if role not in list(Role):
            raise UserRefused(f"--role {role}: there are {', '.join(Role)}")
        if name in users.all():
            raise UserRefused(f"there is a user {name!r} already; `neurossl user passwd` gives another password")
        users.put(name, Role(role), _password())
    _say(f"{name} may log in, and {role}")


def show(config: Config = DEFAULT) -> None:
    """List the users and their roles."""
    with _users(config) as users:
        for user in users.all().values():
            _say(f"{user.name:<24} {user.role}")


def remove(name: Name, config: Config = DEFAULT) -> None:
    """Remove a user, who is logged out at once."""
    with _users(config) as users:
        users.remove(name)
    _say(f"{name} may not log in any more")


def passwd(name: Name, config: Config = DEFAULT) -> None:
    """Give a user another password, and log them out everywhere."""
    from node.access.users import UserRefused

    with _users(config) as users:
        user = users.all().get(name)
        if user is None:
            raise UserRefused(f"there is no user {name!r}")
        users.put(name, user.role, _password())
    _say(f"{name} has another password")


@contextmanager
def _users(config: "Config") -> "Iterator[Users]":
    from node.access.users import users_of
    from node.process.hardening import harden
    from storage import DataFolder

    harden()
    with one_line_errors():
        settings = load(config)
        folder = DataFolder(settings.data_folder)
        folder.create()
        with folder.lock("users", wait_s=5):
            yield users_of(settings)


def _password() -> str:
    if sys.stdin.isatty():
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    return sys.stdin.readline().rstrip("\r\n")


def _say(text: str) -> None:
    Console(highlight=False, soft_wrap=True).print(text, markup=False)
