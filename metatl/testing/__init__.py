"""The laws, as functions that you run on a method of your own.

    from metatl.testing import check_adaptation
    check_adaptation(MyWay(), net, transfer, data.draw("meta_val", tasks, 0, 0, 4))

Each raises AssertionError in one line that says what differs, and returns nothing.
"""

from metatl.testing.adaptation import check_adaptation
from metatl.testing.learner import check_learner
from metatl.testing.term import check_term
from metatl.testing.transform import check_transform

__all__ = ["check_adaptation", "check_learner", "check_term", "check_transform"]
