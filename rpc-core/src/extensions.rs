//! What belongs to one worker and is found through its [`Client`](crate::Client).

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// At most one of each type, held weakly: most of them hold the client. So there are at most as many entries as
/// types that the program has for this.
#[derive(Default)]
pub(crate) struct Extensions(Mutex<HashMap<TypeId, Weak<dyn Any + Send + Sync>>>);

impl Extensions {
    pub(crate) fn get_or<T: Any + Send + Sync>(&self, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut all = self.0.lock();
        let found = all.get(&TypeId::of::<T>()).and_then(Weak::upgrade);
        if let Some(found) = found.and_then(|any| any.downcast().ok()) {
            return found;
        }
        let made = make();
        let any: Arc<dyn Any + Send + Sync> = Arc::clone(&made) as _;
        all.insert(TypeId::of::<T>(), Arc::downgrade(&any));
        made
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions").field("types", &self.0.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_of_a_type_for_as_long_as_somebody_holds_it() {
        let extensions = Extensions::default();
        let first = extensions.get_or(|| Arc::new(1_u8));
        assert_eq!(*extensions.get_or::<u16>(|| Arc::new(7)), 7, "another type");
        assert!(Arc::ptr_eq(&first, &extensions.get_or(|| Arc::new(2_u8))));
        drop(first);
        assert_eq!(*extensions.get_or(|| Arc::new(3_u8)), 3);
    }
}
