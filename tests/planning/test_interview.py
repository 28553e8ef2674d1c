"""The fold alone, over small tables."""

from __future__ import annotations

from typing import Any

import pytest

from planning.conversation import check_question
from synapse_skills.errors import OutOfReach, UsageError
from synapse_skills.planning.interview import (
    Ask,
    BadAnswer,
    Decision,
    Family,
    Inferred,
    Later,
    Option,
    Refuse,
    Stopped,
    fold,
    reference,
)


def text(answer: Any, facts: Any, settled: Any) -> str:
    if not isinstance(answer, str) or answer == "bad":
        raise BadAnswer(f"{answer} is bad")
    return answer


def row(
    key: str, found: Any = None, *, needs: tuple[str, ...] = (), parse: Any = text, header: str = "Head"
) -> Decision:
    return Decision(key, header, f"About {key}.", lambda facts, settled: found, parse, needs)


TWO = (Option("First one", "one", "the first"), Option("Second one", "two", "the second"))


def test_inferred_decisions_settle_with_their_reason() -> None:
    outcome = fold([row("a", Inferred(1, "it is so"))], None, {})
    assert outcome.done and outcome.settled == {"a": 1}
    assert outcome.understood == [{"key": "a", "value": 1, "because": "it is so"}]


def test_a_decision_that_does_not_apply_settles_without_a_value() -> None:
    outcome = fold([row("a"), row("b", Inferred(2, "so"), needs=("a",))], None, {})
    assert outcome.done and outcome.settled == {"b": 2}


def test_what_lacks_its_needs_waits_for_a_later_round() -> None:
    table = [row("a", Ask("A?", TWO)), row("b", Ask("B?", TWO), needs=("a",))]
    first = fold(table, None, {})
    assert [question["key"] for question in first.questions] == ["a"] and not first.done
    second = fold(table, None, {"a": "one"})
    assert [question["key"] for question in second.questions] == ["b"]
    assert fold(table, None, {"a": "one", "b": "two"}).done


def test_at_most_four_questions_a_round_and_the_rest_later() -> None:
    table = [row(f"k{number}", Ask(f"{number}?", TWO)) for number in range(6)]
    first = fold(table, None, {})
    assert [question["key"] for question in first.questions] == ["k0", "k1", "k2", "k3"]
    second = fold(table, None, {f"k{number}": "one" for number in range(4)})
    assert [question["key"] for question in second.questions] == ["k4", "k5"]


def test_all_refusals_are_collected() -> None:
    table = [row("a", Refuse("x", "ex", "fix it")), row("b", Refuse("y", "why", "mend it", 3))]
    assert [(refusal.code, refusal.exit_code) for refusal in fold(table, None, {}).refusals] == [("x", 1), ("y", 3)]


def test_labels_are_answers_in_any_case_and_are_kept_as_values() -> None:
    def only(answer: Any, facts: Any, settled: Any) -> str:
        if answer not in ("one", "two"):
            raise BadAnswer("neither one nor two")
        return str(answer)

    outcome = fold([row("a", Ask("A?", TWO), parse=only)], None, {"a": "second ONE (Recommended)"})
    assert outcome.settled == {"a": "two"} and outcome.given == {"a": "two"}


@pytest.mark.parametrize("answer", ["First one, Second one", ["First one", "two"], ["one", "two"]])
def test_several_labels_answer_a_multiselect_question(answer: Any) -> None:
    def both(answer: Any, facts: Any, settled: Any) -> list[str]:
        if not isinstance(answer, list) or not set(answer) <= {"one", "two"}:
            raise BadAnswer("no")
        return answer

    outcome = fold([row("a", Ask("A?", TWO, multi=True), parse=both)], None, {"a": answer})
    assert outcome.settled == {"a": ["one", "two"]}


def test_a_wrong_answer_comes_back_as_the_same_question_with_its_error() -> None:
    table = [row("a", Ask("A?", TWO))]
    asked, again = fold(table, None, {}).questions[0], fold(table, None, {"a": "bad"}).questions[0]
    assert again == {**asked, "error": "bad is bad"}
    assert "a" not in fold(table, None, {"a": "bad"}).given


def test_a_wrong_answer_to_what_would_be_inferred_is_asked_with_its_sentence() -> None:
    question = fold([row("a", Inferred(1, "default"))], None, {"a": "bad"}).questions[0]
    assert question["question"] == "What shall `a` be? About a. Without an answer it is 1: default."
    assert question["error"] == "bad is bad" and question["options"] == []


def test_an_answer_beats_what_would_be_inferred() -> None:
    outcome = fold([row("a", Inferred("guess", "so"))], None, {"a": "said"})
    assert outcome.settled == {"a": "said"} and outcome.understood[0]["because"] == "as you said"


def test_answers_for_later_rounds_are_kept() -> None:
    table = [row("a", Ask("A?", TWO)), row("b", Ask("B?", TWO), needs=("a",))]
    assert fold(table, None, {"b": "two"}).given == {"b": "two"}


def test_a_stopping_answer_is_remembered_and_blocks() -> None:
    def stop(answer: Any, facts: Any, settled: Any) -> str:
        raise Stopped(Refuse("stopped", "you said so", "mend it"), "stop")

    outcome = fold(
        [row("a", Ask("A?", TWO), parse=stop), row("b", Inferred(1, "so"), needs=("a",))], None, {"a": "stop"}
    )
    assert outcome.given == {"a": "stop"} and [refusal.code for refusal in outcome.refusals] == ["stopped"]
    assert not outcome.done and "b" not in outcome.settled


def test_errors_while_looking_become_refusals_and_the_unchecked_answer_is_kept() -> None:
    def away(answer: Any, facts: Any, settled: Any) -> str:
        raise OutOfReach("no backend", hint="wait", code="backend-unreachable")

    outcome = fold([row("a", parse=away)], None, {"a": "5"})
    assert [(each.code, each.exit_code) for each in outcome.refusals] == [("backend-unreachable", 3)]
    assert outcome.given == {"a": "5"} and not outcome.done


def test_what_takes_long_waits_while_others_are_asked() -> None:
    outcome = fold([row("a", Ask("A?", TWO)), row("b", Later())], None, {})
    assert not outcome.done and outcome.waiting == ["b"] and len(outcome.questions) == 1


FAMILY = Family("specs.*.pattern", "Head", "doc", lambda facts, settled, answers: [row("specs.image_1.pattern")])


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("batchsize", "limits.batch_size"),
        ("specs.image_2.pattern", "specs.image_1.pattern"),
        ("colection", "collection"),
    ],
)
def test_an_unknown_key_is_wrong_usage_with_the_nearest_match(key: str, near: str) -> None:
    table = [row("limits.batch_size"), row("collection"), FAMILY]
    with pytest.raises(UsageError) as caught:
        fold(table, None, {key: "x"})
    assert caught.value.exit_code == 2 and near in caught.value.hint


def test_a_remembered_key_that_lost_its_meaning_is_dropped() -> None:
    outcome = fold([FAMILY], None, {"specs.gone.pattern": "x"}, remembered=frozenset({"specs.gone.pattern"}))
    assert outcome.done and outcome.given == {}


def test_a_table_to_choose_from_stands_beside_its_question() -> None:
    rows = [{"id": 1}, {"id": 2}]
    outcome = fold([row("a", Ask("Which?", TWO, table=(rows, "2 there are")))], None, {})
    assert outcome.understood == [{"key": "a", "value": rows, "because": "2 there are"}] and outcome.questions


@pytest.mark.parametrize("count", [0, 1, 2, 4, 9])
def test_questions_keep_the_limits_of_the_tool(count: int) -> None:
    options = tuple(Option(f"label {n} with far too many words in it", n, "what it is") for n in range(count))
    question = fold([row("a", Ask("Which?", options, multi=True), header="A header too long")], None, {}).questions[0]
    check_question(question)
    assert len(question["options"]) == (0 if count < 2 else min(count, 4))


def test_secrets_do_not_reach_a_question() -> None:
    question = fold([row("a", Ask("From https://host/x?sig=abcdef?"))], None, {}).questions[0]
    assert "abcdef" not in question["question"]


def test_the_reference_names_every_key() -> None:
    assert [key for key, _ in reference([row("a"), FAMILY])] == ["a", "specs.*.pattern"]
