"""Under Istio's control plane everything is as with static sidecars: these are the tests of tests/e2e themselves."""

from tests.e2e.test_administrators import *  # noqa: F403
from tests.e2e.test_inside import *  # noqa: F403
from tests.e2e.test_journey import *  # noqa: F403
from tests.e2e.test_kills import *  # noqa: F403
from tests.e2e.test_policy_matrix import *  # noqa: F403
from tests.e2e.test_rest_conformance import *  # noqa: F403
from tests.e2e.test_sessions import *  # noqa: F403
