"""Istio's own control plane on one machine: etcd, kube-apiserver and istiod as plain processes, without nodes."""
