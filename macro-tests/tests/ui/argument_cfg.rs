//! An argument that is there only in some builds.

#[rpc::function]
fn log(_: String, #[cfg(unix)] _: u32) {}

fn main() {}
