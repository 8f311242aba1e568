//! Names that the wire cannot tell apart.

#[rpc::function(name = "")]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

#[rpc::function(name = "my functions::sub")]
fn sub(a: f64, b: f64) -> f64 {
    a - b
}

fn main() {}
