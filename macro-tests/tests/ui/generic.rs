//! Functions that stand for many.

use std::fmt::Display;

#[rpc::function]
fn text<T: Display>(value: T) -> String {
    value.to_string()
}

#[rpc::function]
fn sum<const N: usize>(values: [f64; N]) -> f64 {
    values.iter().sum()
}

fn main() {}
