//! The side channel between a message and the values inside it.
//!
//! A [`Tensor`](crate::Tensor) deep inside an argument must hand its bytes to the message that is being
//! encoded, and serde gives its `Serialize` no way to reach it. So encoding and decoding a body open a
//! scope on the current thread; within it, values add and take parts. Scopes nest (a value may encode
//! another body while it is encoded) and end with the closure, also when it panics, so nothing outlives
//! a call and two workers in one process never meet here.

use std::cell::RefCell;

use crate::part::Part;

thread_local! {
    static COLLECTING: RefCell<Option<Vec<Part>>> = const { RefCell::new(None) };
    static OFFERING: RefCell<Option<Vec<Part>>> = const { RefCell::new(None) };
}

/// Puts back the outer scope, also when the inner one unwinds.
struct Restore {
    slot: &'static std::thread::LocalKey<RefCell<Option<Vec<Part>>>>,
    outer: Option<Option<Vec<Part>>>,
}

impl Restore {
    fn enter(slot: &'static std::thread::LocalKey<RefCell<Option<Vec<Part>>>>, parts: Vec<Part>) -> Self {
        Self { slot, outer: Some(slot.replace(Some(parts))) }
    }

    fn leave(mut self) -> Vec<Part> {
        let outer = self.outer.take().flatten();
        self.slot.replace(outer).unwrap_or_default()
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(outer) = self.outer.take() {
            self.slot.replace(outer);
        }
    }
}

/// Runs `encode` and returns the parts that values inside it added.
pub(crate) fn collect_parts<R>(encode: impl FnOnce() -> R) -> (R, Vec<Part>) {
    let scope = Restore::enter(&COLLECTING, Vec::new());
    let result = encode();
    (result, scope.leave())
}

/// Runs `decode` with `parts` on offer to values inside it.
pub(crate) fn offer_parts<R>(parts: Vec<Part>, decode: impl FnOnce() -> R) -> R {
    let scope = Restore::enter(&OFFERING, parts);
    let result = decode();
    scope.leave();
    result
}

/// Adds a part to the body being encoded and returns its index; `None` outside of a body.
pub(crate) fn add_part(part: &Part) -> Option<u32> {
    COLLECTING.with_borrow_mut(|parts| {
        let parts = parts.as_mut()?;
        parts.push(part.clone());
        u32::try_from(parts.len() - 1).ok()
    })
}

/// The part at `index` of the body being decoded; `None` if there is none or no body.
pub(crate) fn part_at(index: u32) -> Option<Part> {
    OFFERING.with_borrow(|parts| parts.as_ref()?.get(index as usize).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_nest_and_a_panic_ends_only_the_inner_one() {
        let part = Part::from_vec(vec![1_u8]);
        assert_eq!(add_part(&part), None, "no scope");
        let ((), outer) = collect_parts(|| {
            assert_eq!(add_part(&part), Some(0));
            let inner = std::panic::catch_unwind(|| {
                collect_parts(|| {
                    assert_eq!(add_part(&Part::from_vec(vec![2_u8])), Some(0), "a table of its own");
                    panic!("while encoding");
                })
            });
            assert!(inner.is_err());
            assert_eq!(add_part(&part), Some(1));
        });
        assert_eq!(outer.len(), 2);
        assert_eq!(add_part(&part), None, "closed");
        offer_parts(vec![part], || assert!(part_at(0).is_some() && part_at(1).is_none()));
        assert!(part_at(0).is_none(), "closed");
    }
}
