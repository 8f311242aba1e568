//! A function that a trait only declares.

trait Adder {
    #[rpc::function]
    fn add(a: f64, b: f64) -> f64;
}

fn main() {}
