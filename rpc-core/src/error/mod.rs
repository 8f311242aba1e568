//! Why a call has no value, by blame and by what is known.
//!
//! Text is lower case and has no full stop; `source()` has the next level. Code decides on variants and
//! on [`CallError::handler_ran`]; people read the text, which names the worker, the function and the
//! likely remedy.

mod call;
mod failure;
mod never;
mod reference;
mod violation;

pub use self::call::CallError;
pub use self::failure::{Failure, HandlerRan};
pub use self::never::Never;
pub use self::reference::{CreationError, ReferenceError};
pub use self::violation::Violation;
