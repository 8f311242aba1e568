//! The callee's functions, by id.

use std::collections::BTreeMap;
use std::future::Future;

use super::{FunctionEntry, FunctionId, RemoteFunction};

/// The functions that a worker serves.
///
/// ```
/// use rpc_core::FunctionTable;
/// let table = FunctionTable::linked()?; // everything marked #[rpc::function] in this program
/// for function in table.iter() {
///     println!("{} {}", function.name(), function.signature());
/// }
/// # Ok::<(), rpc_core::TableError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FunctionTable {
    /// Ids are hashes already: to hash them again would cost a call more than this look-up.
    by_name: BTreeMap<u64, FunctionEntry>,
}

impl FunctionTable {
    /// An empty table, to be filled by hand.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that `#[rpc::function]` registered in this program.
    ///
    /// Functions of a library crate are there only if the program uses something of that crate;
    /// otherwise the linker leaves the crate out.
    ///
    /// # Errors
    /// [`TableError`] if two functions share a name.
    pub fn linked() -> Result<Self, TableError> {
        let mut table = Self::new();
        for entry in inventory::iter::<FunctionEntry> {
            table.insert(entry.clone())?;
        }
        Ok(table)
    }

    /// Adds `F`.
    ///
    /// # Errors
    /// [`TableError`] if its name is taken.
    pub fn add<F: RemoteFunction>(&mut self, _: F) -> Result<(), TableError> {
        self.insert(FunctionEntry::of::<F>())
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`TableError`] if its name is taken.
    pub fn insert(&mut self, entry: FunctionEntry) -> Result<(), TableError> {
        let second = entry.name();
        match self.by_name.insert(entry.id().name_bits(), entry) {
            None => Ok(()),
            Some(before) => Err(TableError { first: before.name(), second }),
        }
    }

    /// Has calls of `function` run `body` where this table serves, in place of the body that the function was written with;
    /// adds it if it is not there. Each call gets a clone of `state`: this is for functions that work on something of the
    /// worker's own, which otherwise is in a `static`. Callers do not notice.
    ///
    /// The body is an `async` closure, and treated as an `async fn`: polled in place, and spawned if it has to wait. It
    /// returns a `Result` also for a function whose result is none. What `#[rpc::function]` says of limits and repetition
    /// is true of it too.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use rpc_core::FunctionTable;
    /// # use rpc_macros::function;
    ///
    /// #[function(crate = "rpc_core")]
    /// fn take_number(who: String) -> Result<u64, String> {
    ///     Err(format!("{who} came to a worker where nobody counts"))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut functions = FunctionTable::linked()?;
    /// let given = Arc::new(AtomicU64::new(1));
    /// functions.bind(take_number, given, async |given, (_who,)| Ok(given.fetch_add(1, Ordering::Relaxed)))?;
    /// # let cluster = rpc_testing::Cluster::builder().workers(["desk"]).functions(functions).build().await?;
    /// # let client = cluster.client("desk");
    /// assert_eq!(client.rpc_async("desk", take_number, ("me".into(),)).await?, 1);
    /// assert_eq!(client.rpc_async("desk", take_number, ("me".into(),)).await?, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`TableError`] if its name is that of a function with another signature. The table stays as it is.
    pub fn bind<F, S, R>(
        &mut self,
        _: F,
        state: S,
        body: impl Fn(S, F::Args) -> R + Send + Sync + 'static,
    ) -> Result<(), TableError>
    where
        F: RemoteFunction,
        S: Clone + Send + Sync + 'static,
        R: Future<Output = Result<F::Output, F::Error>> + Send + 'static,
    {
        let entry = FunctionEntry::bound::<F>(move |args| Box::pin(body(state.clone(), args)));
        let name = entry.id().name_bits();
        match self.by_name.get(&name) {
            Some(before) if before.id() != entry.id() => {
                Err(TableError { first: before.name(), second: entry.name() })
            }
            _ => {
                self.by_name.insert(name, entry);
                Ok(())
            }
        }
    }

    /// The functions in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &FunctionEntry> {
        self.by_name.values()
    }

    /// A number that differs, in all likelihood, for tables with other functions or signatures.
    pub fn digest(&self) -> u64 {
        // Xor, because the order does not matter and no function is there twice.
        self.iter().fold(0, |digest, entry| digest ^ entry.id().to_wire())
    }

    /// Looks `id` up.
    ///
    /// # Errors
    /// [`Miss`], which tells another signature from no such name.
    pub(super) fn find(&self, id: FunctionId) -> Result<&FunctionEntry, Miss<'_>> {
        match self.by_name.get(&id.name_bits()) {
            Some(entry) if entry.id() == id => Ok(entry),
            Some(entry) => Err(Miss::OtherSignature(entry)),
            None => Err(Miss::Unknown),
        }
    }

    /// Names of functions here, sorted, at most `most` of them.
    pub(super) fn names(&self, most: usize) -> Vec<&'static str> {
        let mut names: Vec<_> = self.iter().map(FunctionEntry::name).collect();
        names.sort_unstable();
        names.truncate(most);
        names
    }
}

/// Why a function was not found.
pub(super) enum Miss<'a> {
    /// It is here with another signature.
    OtherSignature(&'a FunctionEntry),
    /// It is not here.
    Unknown,
}

/// Two functions cannot be told apart on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "functions {first} and {second} have the same id; give one another name with #[rpc::function(name = \"..\")]"
)]
pub struct TableError {
    /// The one that was there.
    pub first: &'static str,
    /// The one that was to be added.
    pub second: &'static str,
}
