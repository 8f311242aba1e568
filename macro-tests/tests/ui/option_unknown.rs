//! An option that does not exist; the function itself is usable all the same.

#[rpc::function(blocking)]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

fn call(client: &rpc::Client) {
    client.rpc_async("worker1", add, (1.0, 2.0));
}

fn main() {}
