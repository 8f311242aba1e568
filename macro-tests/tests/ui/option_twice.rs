//! An option given twice.

#[rpc::function(inline, name = "add", inline)]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

fn main() {}
