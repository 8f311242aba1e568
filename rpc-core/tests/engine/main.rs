//! The engine over an in-memory network: the invariants EN-1 to EN-5, and what callers see.

mod after;
mod blocking;
mod bound;
mod bounds;
mod calls;
mod certificates;
mod codecs;
mod deadlines;
mod errors;
mod functions;
mod futures;
mod gatekeeper;
mod handles;
mod info;
mod limits;
mod links;
mod raw;
mod retries;
mod shutdown;
mod watchers;
