//! A result that is borrowed.

#[rpc::function]
fn name() -> &'static str {
    "worker"
}

fn main() {}
