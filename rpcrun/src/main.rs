//! rpcrun

fn main() {}
