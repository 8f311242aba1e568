//! Types that stand for many, that borrow, or that have no name.

use std::borrow::Cow;

struct Shard<T>(Vec<T>);

#[rpc::methods]
impl<T: Clone> Shard<T> {
    fn pull(&self) -> Vec<T> {
        self.0.clone()
    }
}

struct Fixed<const N: usize>;

#[rpc::methods]
impl<const N: usize> Fixed<N> {
    fn len(&self) -> usize {
        N
    }
}

struct Text<'a>(Cow<'a, str>);

#[rpc::methods]
impl<'a> Text<'a> {
    fn len(&self) -> usize {
        self.0.len()
    }
}

#[rpc::methods]
impl Text<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Clause;

#[rpc::methods]
impl Clause
where
    u8: Copy,
{
    fn len(&self) -> usize {
        0
    }
}

trait Shape {}

#[rpc::methods]
impl dyn Shape {
    fn area(&self) -> f64 {
        0.0
    }
}

fn main() {}
