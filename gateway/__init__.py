"""The HTTP edge: routes and policy, made from the contract, as configuration of Envoy. Nothing else."""
