"""What every gRPC call shares, on both sides: model, contract, pipeline, transports, channel."""
