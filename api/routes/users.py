"""People, by an administrator."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.audit import record
from api.guard import Context, Who
from api.paging import Paged
from api.problems import ApiProblem, documented, not_found
from api.refusals import refusals
from api.schemas import Out
from store.registry import passwords
from store.registry.models import User
from store.registry.users import (
    Role,
    close_sessions_of,
    create_user,
    find_user,
    hash_password,
    replace_hash,
    set_sites,
)

router = APIRouter(tags=["users"], prefix="/users")

UserName = Annotated[str, Path(max_length=64, examples=["li.wei"])]


class UserOut(Out):
    """A person. `sites` are what a manager or viewer may see."""

    name: str = Field(examples=["li.wei"])
    role: Role
    language: Literal["zh", "en"]
    disabled: bool
    sites: list[str]
    contacts: int = Field(description="Addresses at which the person wants alerts.")
    created_at: datetime


class UsersOut(Out):
    """Everybody, by name."""

    items: list[UserOut]
    next: str | None = Field(default=None, description="`after` of the next page; null on the last.")


class UserIn(BaseModel):
    """A new person. The password is made by the server."""

    name: str = Field(min_length=1, max_length=64, examples=["li.wei"])
    role: Role
    sites: list[str] = Field(default=[], max_length=2000)
    language: Literal["zh", "en"] = "zh"


class UserChangeIn(BaseModel):
    """What is to be different; what is left out stays."""

    role: Role | None = None
    sites: list[str] | None = Field(default=None, max_length=2000)
    language: Literal["zh", "en"] | None = None
    disabled: bool | None = None


class NewPasswordOut(Out):
    """A password that was just made. It is kept nowhere: hand it over now."""

    user: UserOut
    password: str


@router.get("", summary="Everybody", responses=documented(401, 403))
def list_users(context: Context, paged: Paged) -> UsersOut:
    """Return all users, or a page of them."""
    with context.registry.reader() as session:
        cut = paged.of(session.scalars(select(User)), lambda user: user.name)
        return UsersOut(items=[_user_out(row) for row in cut.rows], next=cut.next)


@router.post("", status_code=201, summary="Add a person", responses=documented(401, 403, 409, 422))
def add_user(context: Context, who: Who, given: Annotated[UserIn, Body()]) -> NewPasswordOut:
    """Make a user; the answer holds the password, once."""
    password = passwords.for_person()
    with context.registry.session() as session, refusals():
        row = create_user(
            session, given.name, password, role=given.role, now=context.wall.now(), sites=given.sites,
            language=given.language,
        )  # fmt: skip
        detail = {"role": given.role, "sites": given.sites}
        record(session, who.name, "user.add", row.name, context.wall.now(), detail)
        return NewPasswordOut(user=_user_out(row), password=password)


@router.patch("/{name}", summary="Change a person", responses=documented(401, 403, 404, 409, 422))
def change_user(
    context: Context, who: Who, name: UserName, given: Annotated[UserChangeIn, Body()]
) -> UserOut:
    """Change role, sites or language, or disable; a change of rights ends the person's sessions."""
    with context.registry.session() as session, refusals("body.sites"):
        row = _user(session, name)
        if row.id == who.user_id and (given.disabled or (given.role and given.role != row.role)):
            raise ApiProblem(
                409, "not_possible", "nobody can take their own rights away; ask another administrator"
            )
        changed = given.model_dump(exclude_none=True, exclude={"sites"})
        for key, value in changed.items():
            setattr(row, key, value)
        if given.sites is not None:
            set_sites(session, row, given.sites)
            changed["sites"] = given.sites
        if {"role", "sites", "disabled"} & changed.keys() and row.id != who.user_id:
            close_sessions_of(session, row.id)
        if changed:
            record(session, who.name, "user.change", row.name, context.wall.now(), changed)
        return _user_out(row)


@router.post("/{name}/password", summary="Give a new password", responses=documented(401, 403, 404))
def renew_password(context: Context, who: Who, name: UserName) -> NewPasswordOut:
    """Make a new password for somebody who forgot theirs; their sessions end."""
    password = passwords.for_person()
    new_hash = hash_password(password)
    with context.registry.session() as session:
        row = _user(session, name)
        replace_hash(session, row, new_hash)
        record(session, who.name, "user.password", row.name, context.wall.now())
        return NewPasswordOut(user=_user_out(row), password=password)


def _user(session: Session, name: str) -> User:
    row = find_user(session, name)
    if row is None:
        raise not_found(f"user {name!r}")
    return row


def _user_out(row: User) -> UserOut:
    return UserOut.model_validate(
        {
            "name": row.name, "role": row.role, "language": row.language, "disabled": row.disabled,
            "sites": sorted(one.site for one in row.sites), "contacts": len(row.contacts),
            "created_at": row.created_at,
        }
    )  # fmt: skip
