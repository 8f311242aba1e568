//! A bound without a parameter.

#[rpc::function]
fn add(a: f64, b: f64) -> f64
where
    f64: Copy,
{
    a + b
}

fn main() {}
