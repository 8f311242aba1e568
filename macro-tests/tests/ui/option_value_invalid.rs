//! Options whose value is of the wrong kind.

#[rpc::function(name = 7)]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

#[rpc::function(name)]
fn sub(a: f64, b: f64) -> f64 {
    a - b
}

#[rpc::function(crate = "not a path")]
fn mul(a: f64, b: f64) -> f64 {
    a * b
}

fn main() {}
