//! `inline` on an `async fn`.

#[rpc::function(inline)]
async fn add(a: f64, b: f64) -> f64 {
    a + b
}

fn main() {}
