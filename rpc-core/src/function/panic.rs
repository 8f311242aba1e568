//! Runs a handler and turns its panic into an error with message and location.
//!
//! `catch_unwind` gives the message but not the place; only the panic hook sees that. The hook is the
//! process's, so this module chains itself before it exactly once, and acts only while the current thread
//! runs a handler; everything else goes to the hook that was there. A program that later sets a hook of
//! its own without calling ours loses the location, nothing else.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::message::{Outcome, Response};

static CHAIN: Once = Once::new();

thread_local! {
    /// `Some` while this thread runs a handler; holds the place of the last panic in it.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn chain_hook() {
    CHAIN.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A handler may panic while its thread-locals are torn down; then there is no place to note.
            let _ = LOCATION.try_with(|location| {
                if let Ok(mut location) = location.try_borrow_mut()
                    && let (Some(location), Some(place)) = (location.as_mut(), info.location())
                {
                    *location = place.to_string();
                }
            });
            before(info);
        }));
    });
}

/// Runs `handler`; a panic becomes the response that reports it.
pub(crate) fn catch<R>(handler: impl FnOnce() -> R) -> Result<R, Response> {
    chain_hook();
    let outer = LOCATION.replace(Some(String::new()));
    // The handler's own state is dropped with the panic; shared state is behind its own locks.
    let result = catch_unwind(AssertUnwindSafe(handler));
    let location = LOCATION.replace(outer).filter(|place| !place.is_empty());
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
