"""What others have written down about gRPC, HTTP/2 and transcoding, held against a real gateway and real sidecars."""
