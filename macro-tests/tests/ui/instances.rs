//! Instances that do not fit their function.

use std::fmt::Display;

#[rpc::function(instances(f32))]
fn plain(value: f32) -> f32 {
    value
}

#[rpc::function(instances(f32, f64))]
fn two<A: Display, B: Display>(a: A, b: B) -> String {
    format!("{a}{b}")
}

#[rpc::function(instances())]
fn none<T: Display>(value: T) -> String {
    value.to_string()
}

#[rpc::function(instances = "f32")]
fn text<T: Display>(value: T) -> String {
    value.to_string()
}

#[rpc::function(instances(f32))]
fn sum<const N: usize>(values: [f64; N]) -> f64 {
    values.iter().sum()
}

#[rpc::function(instances(f32))]
fn borrowed<'a, T: Display + 'a>(value: T) -> String {
    value.to_string()
}

fn main() {}
