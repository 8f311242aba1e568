//! In-memory network with faults, test clusters and virtual time for rpc programs.
