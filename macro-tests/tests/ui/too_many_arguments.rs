//! More arguments than a tuple can carry.

#[rpc::function]
fn many(
    _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8,
    _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8,
    _: u8,
) {
}

fn main() {}
