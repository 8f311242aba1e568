//! [`Proxy`]: what the methods of a reference are called through.

use std::marker::PhantomData;

/// What a proxy of a type holds: calls methods of the value behind a reference.
pub struct Proxy<'a, T> {
    rref: PhantomData<&'a T>,
}
