"""Tokens for programs, made by people for themselves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, Field

from api.audit import record
from api.guard import Context, Who
from api.problems import documented, not_found
from api.refusals import refusals
from api.schemas import Out
from store.registry.models import ApiToken
from store.registry.tokens import Scope, make_token, tokens_of

router = APIRouter(tags=["tokens"], prefix="/me/tokens")


class TokenOut(Out):
    """A token; its text is shown once, when it is made."""

    id: int
    name: str = Field(examples=["城市大屏"])
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = Field(description="The last use, to the hour.")


class TokensOut(Out):
    """All tokens of the user."""

    items: list[TokenOut]


class TokenIn(BaseModel):
    """A new token. It acts as the user, as far as its scopes go."""

    name: str = Field(min_length=1, max_length=80)
    scopes: list[Scope] = Field(default=["read"], min_length=1, max_length=4)
    days: int = Field(default=90, ge=1, le=366)


class TokenMadeOut(Out):
    """A token with its text. It is kept nowhere: put it into the program now."""

    token: TokenOut
    text: str = Field(description="Goes into the header `Authorization: Bearer …`.")


@router.get("", summary="My tokens", responses=documented(401, 403))
def list_tokens(context: Context, who: Who) -> TokensOut:
    """Return the tokens without their texts."""
    with context.registry.reader() as session:
        return TokensOut(items=[_token_out(row) for row in tokens_of(session, who.user_id)])


@router.post("", status_code=201, summary="Make a token", responses=documented(401, 403, 409, 422))
def add_token(context: Context, who: Who, given: Annotated[TokenIn, Body()]) -> TokenMadeOut:
    """Make a token for a program; the answer holds its text, once."""
    now = context.wall.now()
    with context.registry.session() as session, refusals("body.scopes"):
        row, text = make_token(
            session, who.user_id, given.name, given.scopes, now=now, valid_for=timedelta(days=given.days)
        )
        detail = {"name": given.name, "scopes": row.scopes, "days": given.days}
        record(session, who.name, "token.add", f"token:{row.id}", now, detail)
        return TokenMadeOut(token=_token_out(row), text=text)


@router.delete("/{token_id}", status_code=204, summary="End a token", responses=documented(401, 403, 404))
def remove_token(context: Context, who: Who, token_id: Annotated[int, Path(ge=1, le=2**53)]) -> None:
    """End a token at once."""
    with context.registry.session() as session:
        row = session.get(ApiToken, token_id)
        if row is None or row.user_id != who.user_id:
            raise not_found(f"token {token_id}")
        record(session, who.name, "token.remove", f"token:{token_id}", context.wall.now(), {"name": row.name})
        session.delete(row)


def _token_out(row: ApiToken) -> TokenOut:
    return TokenOut.model_validate(row, from_attributes=True)
