//! SSH sessions and the one gRPC channel to the helper on each host.
