//! A function that never returns.

#[rpc::function]
fn stop() -> ! {
    std::process::exit(1)
}

fn main() {}
