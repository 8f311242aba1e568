//! [`MethodTable`]: the methods of a program, by the id on the wire.

use std::collections::HashMap;

use rpc_core::macro_support::inventory;
use rpc_core::{FunctionId, Outcome, Response, TableError};

use super::MethodEntry;

/// All remote methods that are linked into the program.
#[derive(Debug)]
pub(crate) struct MethodTable {
    by_id: HashMap<u64, MethodEntry>,
}

impl MethodTable {
    pub(crate) fn linked() -> Result<Self, TableError> {
        let mut by_id = HashMap::new();
        for entry in inventory::iter::<MethodEntry> {
            if let Some(before) = by_id.insert(entry.id().to_wire(), *entry) {
                return Err(TableError { first: before.name(), second: entry.name() });
            }
        }
        Ok(Self { by_id })
    }

    /// The method that `id` stands for.
    ///
    /// # Errors
    /// The response that says why there is none.
    pub(crate) fn entry(&self, id: FunctionId) -> Result<&MethodEntry, Response> {
        if let Some(entry) = self.by_id.get(&id.to_wire()) {
            return Ok(entry);
        }
        let same_name = self.by_id.values().find(|entry| entry.id().same_name(id));
        Err(match same_name {
            Some(entry) => Response::failed(Outcome::SignatureMismatch, &[entry.name(), entry.signature()]),
            None => {
                let mut names: Vec<&str> = self.by_id.values().map(MethodEntry::name).collect();
                names.sort_unstable();
                names.truncate(256);
                Response::failed(Outcome::UnknownFunction, &names)
            }
        })
    }
}
