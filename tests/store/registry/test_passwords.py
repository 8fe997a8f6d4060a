"""Passwords that people read aloud and paste into command lines."""

from store.registry import passwords


def test_a_made_password_is_letters_and_digits_that_nobody_mistakes():
    for _ in range(500):
        for made in (passwords.for_person(), passwords.for_machine()):
            assert made.isascii() and made.isalnum()
            assert not set("0O1lI") & set(made)


def test_no_two_are_alike_and_both_are_long():
    assert len({passwords.for_person() for _ in range(500)}) == 500
    assert len(passwords.for_person()) >= 20 and len(passwords.for_machine()) >= 32
