"""The challenge: hidden tiles that stay hidden, a deadline that holds, and a board that is kept."""

import json
import math
import threading
import time
from contextlib import suppress
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import challenge as to_beat
from lessonkit import augment, data
from lessonkit.course import challenge, records, time_limit, twelve_questions
from lessonkit.course.challenge import Entry
from lessonkit.course.datasets import embedded
from lessonkit.course.exercises import radio_quiz
from lessonkit.learner import Learner
from lessonkit.lr_finder import LRFinderResult
from lessonkit.models import LayerGroups, small_cnn
from tests.tiny import coloured


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSONKIT_RECORDS", str(tmp_path))


@pytest.fixture(autouse=True)
def on_the_courses_own_machine(monkeypatch):
    monkeypatch.setattr(challenge, "_step_seconds", lambda: challenge.REFERENCE_STEP)


EARTH = cache(data.earth)  # read once for all tests


@pytest.fixture(autouse=True)
def read_once(monkeypatch):
    monkeypatch.setattr(data, "earth", EARTH)


class Clock:
    """A clock, and timers, that move on when they are told to."""

    def __init__(self):
        self.now, self.timers = 0.0, {}

    def pass_by(self, seconds):
        self.now += seconds
        for timer in [timer for timer, (due, _) in self.timers.items() if due <= self.now]:
            self.timers.pop(timer)[1]()

    def timer(self, seconds, function):
        """As threading.Timer: call `function` in so many seconds, unless cancelled before."""
        timer = SimpleNamespace(daemon=False, cancel=lambda: self.timers.pop(id(timer), None))
        timer.start = lambda: self.timers.update({id(timer): (self.now + seconds, function)})
        return timer


@pytest.fixture
def clock(monkeypatch):
    """A clock of its own, for the challenge and for the limit that it sets."""
    clock = Clock()
    modules = {
        "time": SimpleNamespace(perf_counter=lambda: clock.now, sleep=clock.pass_by),
        "threading": SimpleNamespace(
            Lock=threading.Lock, Timer=clock.timer, main_thread=threading.main_thread
        ),
    }
    for name, module in modules.items():
        monkeypatch.setattr(time_limit, name, module)
    monkeypatch.setattr(challenge, "time", modules["time"])
    return clock


def guess(tiles):
    return torch.eye(8)[torch.zeros(len(tiles), dtype=int)]


# The tiles


def test_hidden_tiles_share_no_pixel_with_those_that_an_entry_gets():
    tiles = embedded.earth_tiles()
    train_boxes, valid_boxes = tiles.boxes[~tiles.valid], tiles.boxes[tiles.valid]
    training, hidden = challenge._rows()
    seen = np.concatenate([train_boxes[training], valid_boxes])
    a, b = train_boxes[hidden][:, None], seen[None]
    across = (a[..., 0] < b[..., 2]) & (b[..., 0] < a[..., 2])
    down = (a[..., 1] < b[..., 3]) & (b[..., 1] < a[..., 3])
    assert not (across & down).any()


def test_every_climate_is_there_to_train_on_and_to_be_judged_by():
    counts = [torch.bincount(challenge._hidden()[1], minlength=8)]
    counts += [torch.bincount(challenge.images().train.labels, minlength=8)]
    assert counts[0].min() >= 25 and counts[1].min() >= 100


def test_what_an_entry_gets_leads_to_no_hidden_tile_at_any_size():
    n_train, n_valid = len(challenge._rows()[0]), len(data.earth().valid.labels)
    for images in (challenge.images(), challenge.images().resized(32), challenge.images(32)):
        assert (len(images.train.labels), len(images.valid.labels)) == (n_train, n_valid)


# Entering


def test_an_entry_is_scored_by_the_share_of_hidden_tiles_that_are_right(clock):
    labels = challenge._hidden()[1]
    board = []

    def train(images, seconds):
        clock.pass_by(41)
        return guess

    entry = challenge.enter("always rainforest", train, 60, board)
    assert board == [entry] and entry.name == "always rainforest"
    assert entry.score == pytest.approx((labels == 0).float().mean().item())
    assert entry.seconds == 41


def test_a_learner_is_asked_at_its_own_size():
    sides = set()

    def untrained(images, seconds):
        model = small_cnn(8, width=2)
        model.register_forward_pre_hook(lambda _, inputs: sides.add(inputs[0].shape[-1]))
        return Learner(model, images.resized(16))

    assert challenge.enter("untrained", untrained, 60, []).score < 0.5
    assert sides == {16}


def test_a_slow_machine_gets_more_seconds(monkeypatch, clock):
    monkeypatch.setattr(challenge, "_step_seconds", lambda: 3 * challenge.REFERENCE_STEP)
    given = []

    def train(images, seconds):
        given.append(seconds)
        clock.pass_by(24)
        return guess

    entry = challenge.enter("asks for the time", train, 10, [])
    assert given == [pytest.approx(30)] and entry.seconds == pytest.approx(8)
    assert entry.score is not None


def test_what_takes_too_long_is_stopped_and_entered_as_late(capsys, clock):
    def endless(images, seconds):
        while True:
            clock.pass_by(1)

    board = []
    entry = challenge.enter("endless", endless, 60, board)
    assert entry.score is None and board == [entry]
    assert entry.seconds == 60 * challenge.GRACE == clock.now
    assert "late" in capsys.readouterr().out


def test_the_timer_that_stops_it_is_a_real_one():
    ended = []

    def slow(images, seconds):
        for _ in range(6000):
            time.sleep(0.01)
        ended.append(True)

    assert challenge.enter("slow", slow, 0.01, []).score is None and not ended


def test_one_that_does_not_let_itself_be_stopped_is_late_all_the_same(clock):
    def stubborn(images, seconds):
        with suppress(KeyboardInterrupt):
            while True:
                clock.pass_by(1)
        return guess

    assert challenge.enter("stubborn", stubborn, 60, []).score is None


@pytest.mark.parametrize(("seconds", "late"), [(62.9, False), (63.1, True)])
def test_what_no_interrupt_could_stop_is_late_by_the_clock(seconds, late, clock):
    def deaf(images, allowed):
        clock.now += seconds  # in one piece, as in a library that Python can't interrupt
        return guess

    assert (challenge.enter("deaf", deaf, 60, []).score is None) == late


def test_a_time_that_is_over_before_the_block_begins_is_over(monkeypatch):
    def at_once(seconds, function):
        return SimpleNamespace(start=function, cancel=lambda: None)

    threads = SimpleNamespace(Lock=threading.Lock, Timer=at_once, main_thread=threading.main_thread)
    monkeypatch.setattr(time_limit, "threading", threads)
    limits = pytest.raises((time_limit.TooLate, KeyboardInterrupt))
    with limits as caught, time_limit.time_limit(0.01):
        raise AssertionError("the block has begun")
    assert caught.type is time_limit.TooLate


def test_code_that_only_waits_is_stopped_as_well():
    started = time.monotonic()
    with pytest.raises(time_limit.TooLate), time_limit.time_limit(0.05):
        time.sleep(30)
    assert time.monotonic() - started < 15


def test_ctrl_c_is_not_taken_for_a_deadline():
    def interrupted(images, seconds):
        raise KeyboardInterrupt

    board = []
    with pytest.raises(KeyboardInterrupt):
        challenge.enter("me", interrupted, 60, board)
    assert board == []


def test_no_interrupt_is_left_behind_for_what_comes_after(clock):
    challenge.enter("quick", lambda images, seconds: guess, 60, [])
    clock.pass_by(1000)


@pytest.mark.parametrize(
    "result",
    [
        "a text",
        object(),
        lambda tiles: torch.zeros(3, 8),
        lambda tiles: {"desert": 1.0},
        lambda tiles: "all deserts",
        lambda tiles: guess(tiles) * math.nan,
    ],
)
def test_a_result_that_can_not_be_judged_gets_a_sentence(result):
    with pytest.raises(ValueError, match="probabilities"):
        challenge.enter("me", lambda images, seconds: result, 60, [])


def test_a_forgotten_return_and_what_is_no_function_get_a_sentence():
    with pytest.raises(ValueError, match="returns nothing"):
        challenge.enter("me", lambda images, seconds: lambda tiles: None, 60, [])
    with pytest.raises(ValueError, match="wants a function, not 3"):
        challenge.enter("me", 3, 60, [])


@pytest.mark.parametrize("train", [None, ..., lambda images, seconds: None])
def test_without_a_function_it_waits_and_keeps_nothing(train, capsys):
    assert challenge.enter("me", train) is None
    assert "waits" in capsys.readouterr().out
    assert not records.path("challenge").exists()


# The entries to beat


def test_where_no_epoch_fits_fewer_pictures_are_used_and_the_augmentation_stays():
    learn = Learner(small_cnn(3, width=2), coloured(), batch_size=4)
    learn.augment = augment.top_down()
    to_beat.fit_within(learn, 0.1, 0.0)
    assert len(learn.images.train.labels) == 1 and len(learn.history.epochs) == 1
    assert learn.augment == augment.top_down()


def test_stored_activations_give_no_step_to_plan_by():
    learn = Learner(LayerGroups(nn.Flatten(), nn.Linear(768, 3)), coloured(), batch_size=4)
    learn.freeze()
    learn.precompute = True
    with pytest.raises(ValueError, match="precompute = False"):
        to_beat.fit_within(learn, 0.1, 1.0)


def test_the_small_network_is_trained_on_tiles_of_32_px():
    learn = to_beat.small_network(EARTH().with_training(slice(None, None, 40)), 0.5, seed=0)
    assert learn.size == 32 and learn.history.loss and learn.model.about["width"] == 16
    assert learn.predict(coloured(size=32).valid.images).shape[1] == 8


def test_the_recipes_head_gets_a_learning_rate_that_the_finders_rules_agree_on(monkeypatch):
    losses = np.full(60, 2.0)
    losses[:2] = 9.0, 2.0  # an early spike, which fools the steepest slope
    found, used = LRFinderResult(np.logspace(-5, 1, 60), losses), []

    def fit(lr, *_, **__):
        used.append(lr)
        raise KeyboardInterrupt  # the rest would take a minute

    learn = SimpleNamespace(lr_find=lambda: found, fit=fit, n_batches=10)
    monkeypatch.setattr(Learner, "pretrained", lambda *_, **__: learn)
    with pytest.raises(KeyboardInterrupt):
        to_beat.recipe(coloured(), 1.0, seed=0)
    assert used == [pytest.approx(1e-3)] and found.steepest < 1e-4


# The board


def test_entries_are_kept_on_disk_until_they_are_forgotten():
    challenge.enter("me", lambda images, seconds: guess)
    challenge.enter("me again", lambda images, seconds: guess)
    names = [entry.name for entry in challenge.leaderboard()]
    assert {"me", "me again"} <= set(names) and len(names) == len(challenge.TO_BEAT) + 2
    challenge.forget()
    assert sorted(challenge.leaderboard()) == sorted(challenge.TO_BEAT)


def test_the_board_begins_with_the_best_and_ends_with_the_late():
    board = [Entry("late", None, 70.0, "cpu"), Entry("best", 0.99, 50.0, "cpu")]
    names = [entry.name for entry in challenge.leaderboard(board)]
    assert names[0] == "best" and names[-1] == "late"


def test_an_entry_is_told_its_place_and_sees_itself_on_the_board(capsys):
    import matplotlib.pyplot as plt

    best, second = challenge.TO_BEAT
    mine = Entry("me", (best.score + second.score) / 2, 31.4, "cuda")
    board = [Entry("mine before", 0.1, 20.0, "cpu"), mine]
    challenge.result(mine, board)
    behind = 100 * (best.score - mine.score)
    expected = f"me: {mine.score:.3f} after 31 course seconds, place 2 of 4, "
    expected += f"{behind:.1f} points behind “{best.name}”.\n"
    assert capsys.readouterr().out == expected
    ax = plt.gcf().axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()][:2] == [best.name, "me (cuda)"]
    assert len({bar.get_facecolor() for bar in ax.patches}) == 3  # to beat, mine, the newest
    plt.close("all")


def test_the_first_place_is_behind_nobody_and_a_late_entry_has_none(capsys):
    import matplotlib.pyplot as plt

    first = Entry("me", 0.99, 31.0, "cpu")
    challenge.result(first, [first])
    assert capsys.readouterr().out == "me: 0.990 after 31 course seconds, place 1 of 3.\n"
    late = Entry("me", None, 63.0, "cpu")
    challenge.result(late, [late])
    assert capsys.readouterr().out == "me: late, and so without a score.\n"
    plt.close("all")


def test_one_that_waits_has_no_result(capsys):
    import matplotlib.pyplot as plt

    plt.close("all")
    challenge.result(None)
    assert capsys.readouterr().out == "" and not plt.get_fignums()


def test_a_name_that_is_no_text_costs_no_earlier_entries(capsys):
    records.write("challenge", [["me", 0.5, 30.0, "cpu"]])
    challenge.enter(2, lambda images, seconds: guess)
    assert {"me", "2"} <= {entry.name for entry in challenge.leaderboard()}
    assert "can't be read" not in capsys.readouterr().out
    challenge.forget()


@pytest.mark.parametrize("readable", [True, False])
def test_an_entry_that_could_not_be_kept_gets_its_result(readable, capsys, tmp_path, monkeypatch):
    if not readable:
        (tmp_path / "file").touch()
        monkeypatch.setenv("LESSONKIT_RECORDS", str(tmp_path / "file"))
    challenge.result(Entry("me", 0.99, 31.0, "cpu"))
    assert capsys.readouterr().out == "me: 0.990 after 31 course seconds, place 1 of 3.\n"


@pytest.mark.parametrize("text", ["{", "[[1, 2]]", '{"me": 1}', '[["me", 7, 1, "cpu"]]', "\x00"])
def test_a_damaged_board_is_kept_aside_and_one_sentence_says_so(text, capsys):
    path = records.path("challenge")
    path.write_text(text, encoding="utf-8")
    assert sorted(challenge.leaderboard()) == sorted(challenge.TO_BEAT)
    said = capsys.readouterr().out
    assert "can't be read" in said and said.count("\n") == 1
    assert path.with_suffix(".damaged.json").read_text(encoding="utf-8") == text
    challenge.leaderboard()
    assert capsys.readouterr().out == ""


def test_a_second_damaged_file_replaces_no_first(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSONKIT_RECORDS", str(tmp_path))
    for text in ("{first", "{second"):
        records.path("x").write_text(text, encoding="utf-8")
        records.read("x", dict, {})
    assert {path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        "{first", "{second",
    }  # fmt: skip


# The twelve questions


def chosen(asked, number, right):
    """Click on a right or a wrong option of a question."""
    options = asked.questions[number].options
    asked.choose(number, [option.right for option in options].index(right))


def test_answers_of_both_times_stand_side_by_side():
    first = twelve_questions.first()
    chosen(first, 0, False)
    chosen(first, 1, True)
    again = twelve_questions.again()
    chosen(again, 0, True)
    table = twelve_questions.results()
    assert len(table) == 12 and len({row["topic"] for row in table}) == 12
    assert (table[0]["first"], table[0]["again"]) == (False, True)
    assert (table[1]["first"], table[1]["again"]) == (True, None)
    assert all(row["first"] is row["again"] is None for row in table[2:])


def test_to_compare_sends_no_quiz_to_the_browser(monkeypatch):
    monkeypatch.setattr(radio_quiz.Quiz, "__init__", lambda *_: pytest.fail("a quiz was made"))
    comparison = twelve_questions.compare()
    assert comparison.table.value.count("<b>–</b>") == 2


def test_what_is_right_is_told_only_when_the_test_is_taken_again(monkeypatch):
    def known_to_the_browser(make):
        """All that a quiz has sent to it, from its beginning."""
        sent = []

        def noting(send):
            def noted(asked, *args, **kwargs):
                sent.append(asked.get_state())
                return send(asked, *args, **kwargs)

            return noted

        with monkeypatch.context() as patch:
            for name in ("open", "send_state"):
                patch.setattr(radio_quiz.Quiz, name, noting(getattr(radio_quiz.Quiz, name)))
            asked = click_on_all(make())
        return asked, json.dumps(sent, default=str, ensure_ascii=False)

    def click_on_all(asked):
        for right in (True, False):
            for number in range(12):
                chosen(asked, number, right)
        return asked

    first, sent = known_to_the_browser(twelve_questions.first)
    page = first._repr_mimebundle_()["text/html"]
    why = [option.why for question in first.questions for option in question.options]
    assert "Answers" not in page and not any(reason in page for reason in why)
    assert "Right." not in sent and "right" not in json.dumps(first.asked)
    again, sent = known_to_the_browser(twelve_questions.again)
    assert "✓ Right." in sent and "✗ Not so." in sent
    options = [option for question in again.asked for option in question["options"]]
    expected = [option.right for question in first.questions for option in question.options]
    assert [option["right"] for option in options] == expected


def test_the_first_choice_counts_also_after_a_restart():
    asked = twelve_questions.first()
    chosen(asked, 4, False)
    chosen(asked, 4, True)
    chosen(twelve_questions.first(), 4, True)
    assert twelve_questions.results()[4]["first"] is False


def test_after_forgetting_only_new_choices_are_kept():
    asked = twelve_questions.again()
    chosen(asked, 3, False)
    twelve_questions.forget()
    chosen(asked, 4, True)
    table = twelve_questions.results()
    assert (table[3]["again"], table[4]["again"]) == (None, True)
    chosen(asked, 3, True)
    assert twelve_questions.results()[3]["again"] is True


def test_forgetting_deletes_the_file():
    chosen(twelve_questions.again(), 3, True)
    assert records.path("twelve_questions").exists()
    twelve_questions.forget()
    assert not records.path("twelve_questions").exists()
    twelve_questions.forget()  # nothing there any more: no error


def test_what_a_notebook_stores_does_not_depend_on_answers():
    def stored():
        bundle = twelve_questions.compare()._repr_mimebundle_()
        return {kind: bundle.get(kind) for kind in ("text/plain", "text/html")}

    before = stored()
    chosen(twelve_questions.again(), 0, True)
    assert stored() == before
    comparison = twelve_questions.compare()
    assert "<b>1 of 1</b>" in comparison.table.value


def test_damaged_answers_are_kept_aside(capsys):
    path = records.path("twelve_questions")
    path.write_text(json.dumps({"first": [1, 2]}), encoding="utf-8")
    assert all(row["first"] is None for row in twelve_questions.results())
    assert "can't be read" in capsys.readouterr().out
    assert path.with_suffix(".damaged.json").exists()


def test_where_nothing_can_be_kept_the_quiz_says_so_and_goes_on(monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(records, "write", full)
    asked = twelve_questions.again()
    chosen(asked, 0, True)
    assert "no space left" in asked.problem and asked.chosen[0] is not None
    monkeypatch.undo()
    chosen(asked, 1, True)
    assert asked.problem == ""
