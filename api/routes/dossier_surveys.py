"""Surveys of residents: set up by the committee, answered by anybody who has the link or its QR code."""

from __future__ import annotations

import io
import math
import re
import secrets
import time
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import segno
from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from analysis.dossier import survey
from analysis.dossier.standard import Topic
from analysis.limits import site_clock
from api import registry_reads as reads
from api.audit import record
from api.context import ApiContext
from api.guard import Context, Who
from api.problems import ApiProblem, documented, invalid, not_found
from api.ratelimit import Rate, RateLimit
from api.refusals import refusals
from api.routes.dossiers import SiteInPath
from api.schemas import Label, Out
from api.times import Day
from store.registry import dossier as kept
from store.registry.dossier_models import Survey
from store.registry.models import Site

router = APIRouter(tags=["dossier"])

SurveyId = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[2])]
Token = Annotated[str, Path(min_length=8, max_length=64, examples=["k3Jx0aQ2bV7cD9eF"])]
ANSWER_RATE: Final = Rate(per_s=1 / 30, burst=30.0)
"""Answers of one address: households behind one connection, or a counter in the committee's office, fit in."""
_COOKIE: Final = "qw_survey"
_COOKIE_AGE_S: Final = 400 * 86_400
_BROWSER: Final = re.compile(r"[\w-]{22,64}")
_LONGEST: Final = timedelta(days=366)
_QR: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The QR code", "content": {"image/svg+xml": {"schema": {"type": "string"}}}},
    **documented(401, 404),
}


class QuestionOut(Out):
    """A question, answered 1 (very dissatisfied) to 5 (very satisfied), or 0 for "cannot say"."""

    id: str = Field(examples=["overall"])
    text: Label


class QuestionResultOut(QuestionOut):
    """`counts[n]` is how often n was answered."""

    counts: list[int] = Field(examples=[[1, 0, 2, 4, 21, 18]])
    satisfied_share: float | None
    mean: float | None


class SurveyOut(Out):
    """A survey with its result. `low` and `high` bound the satisfied share with 95 % confidence (Wilson)."""

    id: int = Field(examples=[2])
    topic: Topic
    title: Label
    state: Literal["open", "closed"]
    opened_at: datetime
    closes_at: datetime
    last_day: date
    link: str = Field(examples=["https://quietwater.example/survey/k3Jx0aQ2bV7cD9eF"])
    answers: int
    valid: int = Field(description='Answers of the overall question other than "cannot say".')
    satisfied_share: float | None
    low: float | None
    high: float | None
    questions: list[QuestionResultOut]


class SurveysOut(Out):
    """A quarter's surveys, newest first."""

    items: list[SurveyOut]


class SurveyIn(BaseModel):
    """A new survey with the questions that the product ships for its topic."""

    topic: Topic
    last_day: Day = Field(
        description="It closes at the end of this date, in the quarter's time.", examples=["2026-03-15"]
    )
    title_zh: str | None = Field(default=None, min_length=1, max_length=120)
    title_en: str | None = Field(default=None, min_length=1, max_length=120)


class LinkedSurveyOut(Out):
    """What a survey's link leads to."""

    title: Label
    site: Label
    state: Literal["open", "closed"]
    closes_at: datetime
    last_day: date
    answered: bool = Field(description="Whether this browser has answered.")
    questions: list[QuestionOut]


class AnswersIn(BaseModel):
    """An answer to each question, by its id."""

    answers: dict[str, int] = Field(max_length=survey.MOST_QUESTIONS, examples=[{"overall": 4, "night": 0}])


@router.get(
    "/sites/{site}/dossier/surveys", summary="Surveys and their results", responses=documented(401, 404)
)
def list_surveys(request: Request, context: Context, site: SiteInPath) -> SurveysOut:
    """Return a quarter's surveys (200 at most)."""
    with context.registry.reader() as session:
        reads.one_site(session, site)
        return SurveysOut(
            items=[_out(session, request, context, one) for one in kept.surveys_of(session, site)]
        )


@router.post(
    "/sites/{site}/dossier/surveys", status_code=201, summary="Begin a survey",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
def open_survey(
    request: Request, context: Context, who: Who, site: SiteInPath, given: Annotated[SurveyIn, Body()]
) -> SurveyOut:
    """Make a questionnaire at a public link. It closes by itself."""
    now = context.clock.now()
    words = survey.title(given.topic)
    with context.registry.session() as session:
        closes_at = site_clock(reads.one_site(session, site)).midnight(given.last_day + timedelta(days=1))
        if not now < closes_at <= now + _LONGEST:
            raise invalid("body.last_day", "must not be over, and lie within a year")
        with refusals():
            row = kept.open_survey(
                session, site, topic=given.topic, title_zh=given.title_zh or words.zh,
                title_en=given.title_en or words.en,
                questions=[asdict(one) for one in survey.QUESTIONS[given.topic]], now=now, closes_at=closes_at,
                who=who.name,
            )  # fmt: skip
        detail = {"topic": row.topic, "closes_at": row.closes_at.isoformat()}
        record(
            session, who.name, "dossier.survey.open", f"{site}/survey:{row.id}", context.wall.now(), detail
        )
        return _out(session, request, context, row)


@router.post(
    "/sites/{site}/dossier/surveys/{survey_id}/close", summary="Close a survey now",
    responses=documented(401, 403, 404),
)  # fmt: skip
def close_survey(
    request: Request, context: Context, who: Who, site: SiteInPath, survey_id: SurveyId
) -> SurveyOut:
    """End a survey before its time; again changes nothing."""
    now = context.clock.now()
    with context.registry.session() as session:
        row = _survey(session, site, survey_id)
        if row.closes_at > now:
            row.closes_at = now
            record(session, who.name, "dossier.survey.close", f"{site}/survey:{row.id}", context.wall.now())
        return _out(session, request, context, row)


@router.get(
    "/sites/{site}/dossier/surveys/{survey_id}/qr", summary="QR code of a survey's link", response_class=Response,
    responses=_QR,
)  # fmt: skip
def get_survey_qr(request: Request, context: Context, site: SiteInPath, survey_id: SurveyId) -> Response:
    """Return the QR code as SVG."""
    with context.registry.reader() as session:
        link = _link(request, context, _survey(session, site, survey_id).token)
    made = io.BytesIO()
    segno.make(link, error="m", micro=False).save(
        made, kind="svg", scale=6, border=4, dark="#000", light="#fff"
    )
    return Response(made.getvalue(), media_type="image/svg+xml")


@router.get("/survey/{token}", summary="A survey by its public link", responses=documented(404))
def get_linked_survey(
    request: Request, response: Response, context: Context, token: Token
) -> LinkedSurveyOut:
    """Return the questionnaire; needs no login. A random cookie makes one browser answer once."""
    browser = _browser(request)
    with context.registry.reader() as session:
        row, site = _linked(session, token)
        if browser is None:
            _set_cookie(response, context)
        return LinkedSurveyOut(
            title=Label(zh=row.title_zh, en=row.title_en), site=Label(zh=site.label_zh, en=site.label_en),
            state=_state(context, row), closes_at=row.closes_at, last_day=_last_day(site, row),
            answered=browser is not None and kept.has_answered(session, row.id, browser),
            questions=[
                QuestionOut(id=one.id, text=Label(zh=one.zh, en=one.en))
                for one in survey.parse_questions(row.questions)
            ],
        )  # fmt: skip


@router.post(
    "/survey/{token}",
    status_code=204,
    summary="Answer a survey",
    responses=documented(403, 404, 409, 422, 429),
)
def answer_linked_survey(
    request: Request, context: Context, token: Token, given: Annotated[AnswersIn, Body()]
) -> None:
    """Keep this browser's answers: numbers and the date, nothing about who gave them."""
    browser = _browser(request)
    with context.registry.reader() as session:
        row, site = _linked(session, token)
        answered = browser is not None and kept.has_answered(session, row.id, browser)
    if browser is None:
        raise ApiProblem(
            409, "cookie_needed", "open the survey's page first, in a browser that takes its cookie"
        )
    if answered:
        raise _answered_already()
    if _state(context, row) == "closed":
        raise ApiProblem(409, "survey_closed", "this survey is closed")
    try:
        answers = survey.demand_answers(given.answers, survey.parse_questions(row.questions))
    except survey.BadAnswers as error:
        raise invalid("body.answers", str(error)) from None
    _demand_rate(request, row.id)
    today = site_clock(site).local(context.clock.now()).date()
    with context.registry.session() as session, refusals():
        try:
            kept.add_answer(session, row, browser, answers, today)
        except kept.AnsweredAlready:
            raise _answered_already() from None


def _answered_already() -> ApiProblem:
    return ApiProblem(409, "answered_already", "this browser has answered already; thank you")


def _demand_rate(request: Request, survey_id: int) -> None:
    rates = request.app.state.rates
    assert isinstance(rates, RateLimit)
    address = request.client.host if request.client else "?"
    wait_s = rates.take(("survey", survey_id, address), ANSWER_RATE, time.monotonic())
    if wait_s > 0.0:
        raise ApiProblem(
            429, "too_many_requests", "many answers came from here; try again later",
            headers={"Retry-After": str(math.ceil(wait_s))},
        )  # fmt: skip


def _linked(session: Session, token: str) -> tuple[Survey, Site]:
    row = kept.linked_survey(session, token)
    if row is None:
        raise ApiProblem(404, "not_found", "this survey is not there; ask for its link again")
    return row, reads.one_site(session, row.site)


def _survey(session: Session, site: str, survey_id: int) -> Survey:
    reads.one_site(session, site)
    row = kept.find_survey(session, site, survey_id)
    if row is None:
        raise not_found(f"survey {survey_id} at {site!r}")
    return row


def _state(context: ApiContext, row: Survey) -> Literal["open", "closed"]:
    return "open" if context.clock.now() < row.closes_at else "closed"


def _last_day(site: Site, row: Survey) -> date:
    return site_clock(site).local(row.closes_at - timedelta(seconds=1)).date()


def _browser(request: Request) -> str | None:
    given = request.cookies.get(_COOKIE, "")
    return given if _BROWSER.fullmatch(given) else None


def _set_cookie(response: Response, context: ApiContext) -> None:
    response.set_cookie(
        _COOKIE, secrets.token_urlsafe(24), max_age=_COOKIE_AGE_S, path="/api/v1/survey", httponly=True,
        secure=context.config.cookie_secure, samesite="lax",
    )  # fmt: skip


def _link(request: Request, context: ApiContext, token: str) -> str:
    base = context.config.base_url.rstrip("/") or str(request.base_url).rstrip("/")
    return f"{base}/survey/{token}"


def _out(session: Session, request: Request, context: ApiContext, row: Survey) -> SurveyOut:
    result = survey.evaluate(survey.parse_questions(row.questions), kept.answers_of(session, row.id))
    return SurveyOut.model_validate(
        {
            "id": row.id, "topic": row.topic, "title": {"zh": row.title_zh, "en": row.title_en},
            "state": _state(context, row), "opened_at": row.opened_at, "closes_at": row.closes_at,
            "last_day": _last_day(reads.one_site(session, row.site), row),
            "link": _link(request, context, row.token), "answers": result.answers, "valid": result.valid,
            "satisfied_share": result.satisfied_share, "low": result.low, "high": result.high,
            "questions": [
                {
                    "id": one.question.id, "text": {"zh": one.question.zh, "en": one.question.en},
                    "counts": list(one.counts), "satisfied_share": one.satisfied_share, "mean": one.mean,
                }
                for one in result.questions
            ],
        }
    )  # fmt: skip
