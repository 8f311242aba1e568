//! A local variable with the name of a remote function, which is a unit struct.

#[rpc::function]
fn digit(text: char) -> u32 {
    text as u32
}

fn call() -> u32 {
    let digit = digit('7');
    digit
}

fn main() {}
