//! Runs a handler and turns its panic into an error with message and location.
//!
//! `catch_unwind` gives the message but not the place; only the panic hook sees that. The hook is the
//! process's, so this module chains itself before it exactly once, and acts only while the current thread
//! runs a handler; everything else goes to the hook that was there. A program that later sets a hook of
//! its own without calling ours loses the location, nothing else.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::message::{Outcome, Response};

static CHAIN: Once = Once::new();

thread_local! {
    /// How many handlers this thread runs, each inside of the one before.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// The place of the last panic in the innermost of them. Most never look here.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whether there is one.
    static HAS_LOCATION: Cell<bool> = const { Cell::new(false) };
}

fn chain_hook() {
    CHAIN.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.get() > 0
                && let Some(place) = info.location()
            {
                // A handler may panic while its thread-locals are torn down; then there is no place to note.
                let _ = LOCATION.try_with(|location| {
                    if let Ok(mut location) = location.try_borrow_mut() {
                        *location = Some(place.to_string());
                        HAS_LOCATION.set(true);
                    }
                });
            }
            before(info);
        }));
    });
}

/// Takes the place that was noted.
fn take_location() -> Option<String> {
    if !HAS_LOCATION.replace(false) {
        return None;
    }
    LOCATION.try_with(|location| location.try_borrow_mut().ok()?.take()).ok().flatten()
}

/// Runs `handler`; a panic becomes the response that reports it.
pub(crate) fn catch<R>(handler: impl FnOnce() -> R) -> Result<R, Response> {
    chain_hook();
    // That of a panic that has not reached its handler yet, if this runs in a destructor meanwhile.
    let outer = take_location();
    DEPTH.set(DEPTH.get() + 1);
    // The handler's own state is dropped with the panic; shared state is behind its own locks.
    let result = catch_unwind(AssertUnwindSafe(handler));
    DEPTH.set(DEPTH.get() - 1);
    // Also after a panic that the handler itself has caught: the next one may come without a place.
    let location = take_location();
    if let Some(outer) = outer {
        LOCATION.set(Some(outer));
        HAS_LOCATION.set(true);
    }
    result.map_err(|payload| {
        let place = location.as_deref().unwrap_or("unknown location");
        Response::failed(Outcome::Panicked, &[message(&*payload), place])
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a panic without a message"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_and_location_are_reported() {
        let line = line!() + 1;
        let response = catch(|| panic!("no {}", "luck")).unwrap_err();
        assert_eq!(response.outcome, Outcome::Panicked);
        let details = response.details();
        assert_eq!(details[0], "no luck");
        assert!(details[1].contains(&format!("panic.rs:{line}:")), "{details:?}");
    }

    #[test]
    fn nested_handlers_keep_their_own_places() {
        let outer = catch(|| {
            let inner = catch(|| panic!("inner")).unwrap_err();
            assert_eq!(inner.details()[0], "inner");
            std::panic::panic_any(7_u8);
        });
        let details = outer.unwrap_err().details();
        assert_eq!(details[0], "a panic without a message");
        assert!(details[1].contains("panic.rs"), "{details:?}");
    }
}
