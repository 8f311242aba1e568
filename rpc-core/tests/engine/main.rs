//! The engine over an in-memory network: the invariants EN-1 to EN-4, and what callers see.

mod blocking;
mod bounds;
mod calls;
mod deadlines;
mod errors;
mod functions;
mod links;
mod shutdown;
