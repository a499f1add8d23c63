"""The edge that istiod configures is the static one: these are the tests of tests/integration/envoy themselves."""

from tests.integration.envoy.test_cors import *  # noqa: F403
from tests.integration.envoy.test_edge_grpc import *  # noqa: F403
from tests.integration.envoy.test_edge_rest import *  # noqa: F403
from tests.integration.envoy.test_limits import *  # noqa: F403
from tests.integration.envoy.test_strict import *  # noqa: F403
from tests.integration.envoy.test_tokens import *  # noqa: F403

# A cluster has one door, that with TLS; where istiod opens two, each has a table of its own, and with it its buckets.
del test_both_doors_share_a_bucket  # noqa: F821
