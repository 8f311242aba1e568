//! A C-style variadic function.

#[rpc::function]
unsafe extern "C" fn print(_format: u64, _: ...) {}

fn main() {}
