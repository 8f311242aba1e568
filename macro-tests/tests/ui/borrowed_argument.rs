//! Arguments that are borrowed, and what to take instead.

use std::borrow::Cow;

#[rpc::function]
fn count(text: &str, words: &[String], all: &mut Vec<u64>) -> usize {
    all.push(1);
    text.len() + words.len()
}

#[rpc::function]
fn shout(text: Cow<'_, str>) -> String {
    text.to_uppercase()
}

fn main() {}
