//! A call with an argument too few, one too many, and one without the comma of a 1-tuple.

#[rpc::function]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

#[rpc::function]
fn double(n: f64) -> f64 {
    n * 2.0
}

fn call(client: &rpc::Client) {
    client.rpc_async("worker1", add, (1.0,));
    client.rpc_async("worker1", add, (1.0, 2.0, 3.0));
    client.rpc_async("worker1", double, (1.0));
}

fn main() {}
