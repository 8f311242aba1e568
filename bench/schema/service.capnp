# What the bench asks of capnp-rpc. `service_capnp.generated` is what `capnp compile -orust` makes of it, kept beside it
# so that building the bench needs no schema compiler. It expects to be the module `crate::systems::capnp`.
@0xd4b1f8a3c05e6f27;

interface Service {
  echo @0 (bytes :Data) -> (bytes :Data);
  upload @1 (bytes :Data) -> (length :UInt64);
  download @2 (length :UInt64) -> (bytes :Data);
  counter @3 (start :UInt64) -> (counter :Counter);
}

interface Counter {
  add @0 (by :UInt64) -> (value :UInt64);
}
