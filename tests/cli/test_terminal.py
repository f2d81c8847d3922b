from __future__ import annotations

import io

from mlship.cli.terminal import Terminal, clean


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(*, json: bool = False, screen: bool = False, environ: dict[str, str] | None = None):
    stream = Screen if screen else io.StringIO
    stdin, stdout, stderr = stream("y\n"), stream(), stream()
    return Terminal(stdin, stdout, stderr, environ or {}, json=json), stdout, stderr


def test_text_for_people_goes_to_standard_output():
    door, stdout, stderr = terminal()
    door.say("Live: r1")
    assert (stdout.getvalue(), stderr.getvalue()) == ("Live: r1\n", "")


def test_beside_json_text_for_people_goes_to_standard_error():
    door, stdout, stderr = terminal(json=True)
    door.say("Live: r1")
    door.answer("{}")
    assert (stdout.getvalue(), stderr.getvalue()) == ("{}\n", "Live: r1\n")


def test_nothing_is_printed_for_an_empty_text():
    door, stdout, _ = terminal()
    door.say("")
    assert stdout.getvalue() == ""


def test_control_characters_of_foreign_text_do_not_reach_the_terminal():
    assert clean("name\x1b]0;title\x07\n\tnext\x9b2J\u202egnp") == "name�]0;title�\n\tnext�2J�gnp"


def test_a_terminal_gets_colours_and_a_pipe_does_not():
    coloured, stdout, _ = terminal(screen=True)
    coloured.say("Live: r1")
    assert stdout.getvalue() == "\x1b[1;32mLive:\x1b[0m r1\n"


def test_no_color_is_honoured():
    plain, stdout, _ = terminal(screen=True, environ={"NO_COLOR": "1"})
    plain.say("Live: r1")
    assert stdout.getvalue() == "Live: r1\n"


def test_questions_need_a_terminal_on_both_sides():
    assert not terminal()[0].can_ask
    assert terminal(screen=True)[0].can_ask


def test_a_question_stands_on_standard_error_so_that_answers_can_be_piped():
    door, stdout, stderr = terminal(screen=True)
    assert door.ask("Apply? [y/N] ") == "y\n"
    assert (stdout.getvalue(), stderr.getvalue()) == ("", "Apply? [y/N] ")


def test_a_live_display_steps_aside_before_anything_is_printed():
    door, _, _ = terminal()
    events = []
    door.before_each_text(lambda: events.append("aside"))
    door.say("one")
    door.answer("two")
    door.complain("three")
    assert events == ["aside"] * 3
