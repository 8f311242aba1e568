//! The side channel between a message and the values inside it.
//!
//! A [`Tensor`](crate::Tensor) deep inside an argument must hand its bytes to the message that is being
//! encoded, and a reference its handle, and serde gives their `Serialize` no way to reach it. So encoding
//! and decoding a body open a scope on the current thread; within it, values add and take parts and
//! handles. Scopes nest (a value may encode another body while it is encoded) and end with the closure, also
//! when it panics, so nothing outlives a call and two workers in one process never meet here.

use std::cell::RefCell;
use std::mem;

use crate::handles::AnyHandle;
use crate::part::Part;

thread_local! {
    static COLLECTING: RefCell<Collecting> = const { RefCell::new(Collecting::CLOSED) };
    static OFFERING: RefCell<Option<Offered>> = const { RefCell::new(None) };
}

/// What values added to the body that is being encoded.
pub(crate) struct Collected {
    pub(crate) parts: Vec<Part>,
    pub(crate) handles: Vec<AnyHandle>,
}

/// What is collected on this thread.
struct Collecting {
    /// Whether a body is being encoded; and if so, whether it can carry handles.
    takes_handles: Option<bool>,
    parts: Vec<Part>,
    handles: Vec<AnyHandle>,
}

impl Collecting {
    const CLOSED: Self = Self { takes_handles: None, parts: Vec::new(), handles: Vec::new() };
}

/// What values may take out of the body that is being decoded.
struct Offered {
    parts: Vec<Part>,
    handles: Vec<Option<AnyHandle>>,
}

/// One body that is being encoded. Puts back the outer one, also when it unwinds.
struct Encoding {
    /// Most bodies have none around them, so that entering and leaving moves nothing.
    outer: Option<Box<Collecting>>,
    is_open: bool,
}

impl Encoding {
    fn enter(takes_handles: bool) -> Self {
        COLLECTING.with_borrow_mut(|collecting| {
            let outer = collecting
                .takes_handles
                .is_some()
                .then(|| Box::new(mem::replace(collecting, Collecting::CLOSED)));
            collecting.takes_handles = Some(takes_handles);
            Self { outer, is_open: true }
        })
    }

    fn leave(&mut self) -> Collected {
        self.is_open = false;
        COLLECTING.with_borrow_mut(|collecting| {
            let collected = Collected {
                parts: mem::take(&mut collecting.parts),
                handles: mem::take(&mut collecting.handles),
            };
            match self.outer.take() {
                Some(outer) => *collecting = *outer,
                None => collecting.takes_handles = None,
            }
            collected
        })
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        if self.is_open {
            let collected = self.leave();
            drop(collected); // after the scope is the outer one again: a destructor may encode
        }
    }
}

/// Runs `encode` and returns what values inside it added.
pub(crate) fn collect<R>(takes_handles: bool, encode: impl FnOnce() -> R) -> (R, Collected) {
    let mut scope = Encoding::enter(takes_handles);
    let result = encode();
    (result, scope.leave())
}

/// One body that is being decoded. Puts back the outer one, also when it unwinds.
struct Decoding {
    outer: Option<Offered>,
}

impl Drop for Decoding {
    fn drop(&mut self) {
        let unclaimed = OFFERING.replace(self.outer.take());
        drop(unclaimed); // as above
    }
}

/// Runs `decode` with `parts` and `handles` on offer to values inside it.
pub(crate) fn offer<R>(parts: Vec<Part>, handles: Vec<AnyHandle>, decode: impl FnOnce() -> R) -> R {
    let handles = handles.into_iter().map(Some).collect();
    let _scope = Decoding { outer: OFFERING.replace(Some(Offered { parts, handles })) };
    decode()
}

/// Adds a part to the body being encoded and returns its index; `None` outside of a body.
pub(crate) fn add_part(part: &Part) -> Option<u32> {
    COLLECTING.with_borrow_mut(|collecting| {
        collecting.takes_handles?;
        collecting.parts.push(part.clone());
        u32::try_from(collecting.parts.len() - 1).ok()
    })
}

/// The part at `index` of the body being decoded; `None` if there is none or no body.
pub(crate) fn part_at(index: u32) -> Option<Part> {
    OFFERING.with_borrow(|offered| offered.as_ref()?.parts.get(index as usize).cloned())
}

/// Adds a handle to the message that is being encoded on this thread and returns its index. `None` where
/// there is no message, or none that a worker with a [`HandleDesk`](crate::handles::HandleDesk) sends.
pub fn put_handle(handle: AnyHandle) -> Option<u32> {
    COLLECTING.with_borrow_mut(|collecting| {
        if collecting.takes_handles != Some(true) {
            return None;
        }
        collecting.handles.push(handle);
        u32::try_from(collecting.handles.len() - 1).ok()
    })
}

/// Takes the handle at `index` of the message that is being decoded on this thread. `None` if there is none,
/// if it was taken, or where there is no message.
pub fn take_handle(index: u32) -> Option<AnyHandle> {
    OFFERING.with_borrow_mut(|offered| offered.as_mut()?.handles.get_mut(index as usize)?.take())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn scopes_nest_and_a_panic_ends_only_the_inner_one() {
        let part = Part::from_vec(vec![1_u8]);
        assert_eq!(add_part(&part), None, "no scope");
        let ((), outer) = collect(false, || {
            assert_eq!(add_part(&part), Some(0));
            let inner = std::panic::catch_unwind(|| {
                collect(false, || {
                    assert_eq!(add_part(&Part::from_vec(vec![2_u8])), Some(0), "a table of its own");
                    panic!("while encoding");
                })
            });
            assert!(inner.is_err());
            assert_eq!(add_part(&part), Some(1));
        });
        assert_eq!(outer.parts.len(), 2);
        assert_eq!(add_part(&part), None, "closed");
        offer(vec![part], Vec::new(), || assert!(part_at(0).is_some() && part_at(1).is_none()));
        assert!(part_at(0).is_none(), "closed");
    }

    #[test]
    fn a_handle_is_put_where_it_may_be_and_taken_once() {
        let handle: AnyHandle = Arc::new(7_u8);
        assert_eq!(put_handle(Arc::clone(&handle)), None, "no scope");
        let (index, collected) = collect(false, || put_handle(Arc::clone(&handle)));
        assert_eq!((index, collected.handles.len()), (None, 0), "a body that carries none");
        let (index, collected) = collect(true, || put_handle(Arc::clone(&handle)));
        assert_eq!((index, collected.handles.len()), (Some(0), 1));
        offer(Vec::new(), collected.handles, || {
            assert!(take_handle(1).is_none());
            assert!(take_handle(0).is_some());
            assert!(take_handle(0).is_none(), "taken");
        });
        assert_eq!(Arc::strong_count(&handle), 1, "nothing is kept");
    }
}
