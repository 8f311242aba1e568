//! An argument with the name of its function.

#[rpc::function]
fn echo(echo: String) -> String {
    echo
}

fn main() {}
