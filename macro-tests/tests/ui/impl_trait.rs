//! Types without a name.

#[rpc::function]
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    values.sum()
}

#[rpc::function]
fn numbers() -> impl Iterator<Item = u8> {
    0..10
}

fn main() {}
