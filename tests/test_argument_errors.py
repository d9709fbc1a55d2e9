"""Messages about wrong arguments."""

from fashion_lightning.cli.messages import in_a_users_words

UNION = """Parser key "trainer.max_epochs":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'int'>, <class 'NoneType'>]
  Errors:
    - Expected a <class 'int'>
    - Expected a <class 'NoneType'>
  Given value type: <class 'str'>
  Given value: 1.5"""


def test_the_types_that_were_tried_become_what_is_expected() -> None:
    assert in_a_users_words(UNION, []) == "--trainer.max_epochs: 1.5 cannot be used. Expected a whole number"


def test_a_misspelt_flag_is_met_with_the_nearest_one() -> None:
    flags = ["--trainer.max_epochs", "--trainer.max_steps", "--data.root"]
    printed = in_a_users_words("unrecognized arguments: --trainer.max_epoch=3", flags)
    assert printed == "unrecognized arguments: --trainer.max_epoch=3 (did you mean --trainer.max_epochs?)"


def test_keys_are_named_as_they_are_typed() -> None:
    message = "the following arguments are required: fit.model.network"
    assert in_a_users_words(message, []) == "the following arguments are required: --model.network"
