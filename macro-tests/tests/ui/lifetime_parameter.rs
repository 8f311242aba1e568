//! A lifetime that a caller would choose.

use std::borrow::Cow;

#[rpc::function]
fn shout<'a>(text: Cow<'a, str>) -> String {
    text.to_uppercase()
}

fn main() {}
