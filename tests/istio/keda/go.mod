// Not built: where the definition of a ScaledObject is taken from, by its hash in go.sum.
module tulle/tests/istio/keda

go 1.26.0

require github.com/kedacore/keda/v2 v2.21.0
