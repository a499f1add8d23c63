"""How calls arrive: adapters between a transport and the pipeline's wrapped handlers."""
