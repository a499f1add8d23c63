"""What a cluster is told, made from the topology and the contract."""
