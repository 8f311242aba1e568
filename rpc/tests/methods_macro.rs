//! What `#[rpc::methods]` makes of an `impl` block: still the block, and names for calls through references.
//!
//! What the calls do is in `methods_macro_calls.rs`.

// The expansion must be usable in crates that forbid all of this.
#![forbid(unsafe_code)]
#![deny(missing_docs, unnameable_types, unreachable_pub, warnings)]

use rpc::prelude::*;
use rpc::rpc_rref::method::{Access, MethodEntry, RemoteMethods};
use rpc_core::macro_support::inventory;

/// A number that several workers count with.
#[derive(Serialize, Deserialize)]
struct Counter {
    n: u64,
}

/// It went over its bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Overflow;

#[rpc::methods]
impl Counter {
    const MAX: u64 = {
        struct Bound {
            n: u64,
        }
        let bound = Bound { n: 10 };
        bound.n
    };

    #[rpc(skip)]
    fn new() -> Self {
        Self { n: 0 }
    }

    /// Adds.
    fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }

    fn checked(&mut self, by: u64) -> Result<u64, Overflow> {
        if self.n + by > Self::MAX { Err(Overflow) } else { Ok(self.add(by)) }
    }

    async fn value(&self) -> u64 {
        self.n
    }

    async fn reset(&mut self) {
        self.n = 0;
    }

    #[rpc(inline)]
    fn peek(&self) -> u64 {
        self.n
    }

    fn take_patterns(&self, (a, _): (u8, u8), _: u16, mut log: Vec<String>, arg1: u8) -> Vec<String> {
        log.push(format!("{a} {arg1}"));
        log
    }

    #[rpc(skip)]
    fn local_only<T: AsRef<str>>(&self, text: T) -> usize {
        text.as_ref().len()
    }
}

/// The entry of a method, if it is registered.
fn entry(name: &str) -> Option<&'static MethodEntry> {
    inventory::iter::<MethodEntry>.into_iter().find(|entry| entry.name() == name)
}

fn signature(name: &str) -> Option<&'static str> {
    entry(name).map(MethodEntry::signature)
}

#[test]
fn methods_stay_ordinary_methods() {
    let mut counter = Counter::new();
    assert_eq!(counter.add(5), 5);
    assert_eq!(counter.checked(6), Err(Overflow));
    assert_eq!(counter.local_only("ab"), 2);
    assert_eq!(counter.take_patterns((1, 2), 3, Vec::new(), 4), ["1 4"]);
}

#[test]
fn names_are_paths_and_signatures_read_like_the_source() {
    assert_eq!(signature("methods_macro::Counter::add"), Some("fn(&mut self, u64) -> u64"));
    assert_eq!(
        signature("methods_macro::Counter::checked"),
        Some("fn(&mut self, u64) -> Result<u64, Overflow>")
    );
    assert_eq!(signature("methods_macro::Counter::value"), Some("async fn(&self) -> u64"));
    assert_eq!(signature("methods_macro::Counter::reset"), Some("async fn(&mut self)"));
    assert_eq!(
        signature("methods_macro::Counter::take_patterns"),
        Some("fn(&self, (u8, u8), u16, Vec<String>, u8) -> Vec<String>")
    );
}

#[test]
fn what_is_skipped_is_not_registered() {
    assert!(entry("methods_macro::Counter::peek").is_some());
    assert!(entry("methods_macro::Counter::new").is_none());
    assert!(entry("methods_macro::Counter::local_only").is_none());
}

#[test]
fn the_receiver_says_which_lock_a_method_needs() {
    let access = |name| entry(name).map(MethodEntry::access);
    assert_eq!(access("methods_macro::Counter::add"), Some(Access::Exclusive));
    assert_eq!(access("methods_macro::Counter::reset"), Some(Access::Exclusive));
    assert_eq!(access("methods_macro::Counter::peek"), Some(Access::Shared));
    assert_eq!(access("methods_macro::Counter::value"), Some(Access::Shared));
}

/// Never called: that it compiles is the test. No trait is imported for it.
async fn calls_are_typed(counter: &RRef<Counter>) -> Result<(), CallError> {
    let future: RpcFuture<u64> = counter.rpc_async().add(5);
    let sum: u64 = future.timeout(Duration::from_secs(1)).await?;
    let checked: RpcFuture<u64, Overflow> = counter.rpc_async().checked(sum);
    let _: Result<u64, CallError<Overflow>> = checked.await;
    let _: Result<u64, CallError<Overflow>> = counter.rpc_sync().checked(5);
    let _: u64 = counter.rpc_sync().peek()?;
    let _: RRef<u64> = counter.remote().checked(5)?;
    let _: RRef<()> = counter.remote().reset()?;
    // Two calls through one proxy, which is a value like others.
    let proxy = counter.rpc_async();
    proxy.add(1);
    two_more(proxy).await?;
    Ok(())
}

async fn two_more(counter: <Counter as RemoteMethods>::Async<'_>) -> Result<u64, CallError> {
    counter.add(2).await
}

#[test]
fn calls_need_no_import_and_have_types() {
    let _ = calls_are_typed;
}

/// Types as the rest of a program sees them.
pub mod public {
    use super::*;

    /// A part of a table.
    pub struct Shard(Vec<f32>);

    #[rpc::methods(name = "app::Shard", inline)]
    impl Shard {
        /// How many there are.
        pub fn count(&self) -> usize {
            self.0.len()
        }

        pub(crate) fn push(&mut self, value: f32) {
            self.0.push(value);
        }

        fn swap(&mut self, with: Private) -> Private {
            Private(std::mem::replace(&mut self.0, with.0))
        }

        /// Waits, so it cannot run in place, whatever the block says.
        pub async fn last(&self) -> Option<f32> {
            self.0.last().copied()
        }
    }

    /// Only this module can make one, so only it can call the method that takes one.
    #[derive(Serialize, Deserialize)]
    struct Private(Vec<f32>);

    pub(crate) async fn swapped(shard: &RRef<Shard>) -> Result<usize, CallError> {
        let before = shard.rpc_async().swap(Private(Vec::new())).await?;
        Ok(before.0.len())
    }
}

async fn calls_across_modules(shard: &RRef<public::Shard>) -> Result<(), CallError> {
    let count = shard.rpc_async().count().await?;
    shard.rpc_sync().push(1.0)?;
    assert_eq!(public::swapped(shard).await?, count + 1);
    Ok(())
}

#[test]
fn visibility_is_the_methods_own() {
    let _ = calls_across_modules;
}

#[test]
fn the_type_can_have_another_name_on_the_wire() {
    assert_eq!(signature("app::Shard::count"), Some("fn(&self) -> usize"));
    assert!(entry("methods_macro::public::Shard::count").is_none());
}

/// A type that stands for many; the block is that of one of them.
#[derive(Serialize, Deserialize)]
struct Pair<T>(T, T);

#[rpc::methods]
impl Pair<u8> {
    fn sum(&self) -> u8 {
        self.0 + self.1
    }

    fn merged(&self, with: Vec<Self>, Self(a, _): Self) -> Result<Self, Box<Self>> {
        let first = with.into_iter().next().ok_or(Box::new(Self(a, a)))?;
        Ok(first)
    }
}

#[rpc::methods]
impl Pair<Vec<(u8, u8)>> {
    fn sum(&self) -> usize {
        self.0.len() + self.1.len()
    }
}

async fn calls_of_instances(
    bytes: RRef<Pair<u8>>,
    lists: RRef<Pair<Vec<(u8, u8)>>>,
) -> Result<(), CallError> {
    let _: u8 = bytes.rpc_async().sum().await?;
    let _: usize = lists.rpc_async().sum().await?;
    let _: Result<Pair<u8>, CallError<Box<Pair<u8>>>> = bytes.rpc_async().merged(vec![], Pair(1, 2)).await;
    Ok(())
}

#[test]
fn instances_of_a_generic_type_have_names_of_their_own() {
    let _ = calls_of_instances;
    assert_eq!(signature("methods_macro::Pair<u8>::sum"), Some("fn(&self) -> u8"));
    assert_eq!(signature("methods_macro::Pair<Vec<(u8,u8)>>::sum"), Some("fn(&self) -> usize"));
}

/// Names that the expansion itself, or the lints about methods, might trip over.
struct Names;

#[rpc::methods]
#[allow(
    clippy::needless_arbitrary_self_type,
    clippy::new_ret_no_self,
    clippy::wrong_self_convention,
    reason = "the test is that such names do no harm"
)]
impl Names {
    fn new(&self) {}
    fn from(&self, value: u8, proxy: u8) -> u8 {
        value - proxy
    }
    fn into(&mut self) {}
    fn try_into(&mut self) {}
    fn clone(&self) -> u8 {
        1
    }
    fn rpc_async(&self) {}
    fn remote(&self) {}
    fn u64(&self, n: u64) -> u64 {
        n
    }
    fn len(&self) -> usize {
        0
    }
    fn r#match(&self, r#type: u8) -> u8 {
        r#type
    }
    #[allow(non_snake_case, reason = "the test is that this reaches the names")]
    fn Shouting(&self, Loud: u8) -> u8 {
        Loud
    }
    fn this(self: &Self, arg0: u8, _: u8) -> u8 {
        arg0
    }
    fn that(self: &mut Names) {}
}

async fn calls_by_such_names(names: &RRef<Names>) -> Result<(), CallError> {
    names.rpc_async().new().await?;
    names.rpc_async().from(2, 1).await?;
    names.rpc_async().into().await?;
    names.rpc_async().try_into().await?;
    let _: u8 = names.rpc_async().clone().await?;
    names.rpc_async().rpc_async().await?;
    let _: RRef<()> = names.remote().remote()?;
    names.rpc_sync().u64(1)?;
    names.rpc_sync().len()?;
    names.rpc_sync().r#match(1)?;
    names.rpc_sync().Shouting(1)?;
    names.rpc_sync().this(1, 2)?;
    names.rpc_sync().that()?;
    Ok(())
}

#[test]
fn any_name_of_a_method_is_a_good_name() {
    let _ = calls_by_such_names;
    assert_eq!(signature("methods_macro::Names::match"), Some("fn(&self, u8) -> u8"));
    assert_eq!(signature("methods_macro::Names::this"), Some("fn(&self, u8, u8) -> u8"));
    assert_eq!(signature("methods_macro::Names::that"), Some("fn(&mut self)"));
}

/// Attributes, which stay where they have an effect.
struct Attributes;

#[rpc::methods]
#[cfg(not(any()))]
#[allow(clippy::unused_self, reason = "the test is that this reaches the block")]
impl Attributes {
    #[cfg(any())]
    fn configured_out(&self, _: NoSuchType) {}

    #[cfg(not(any()))]
    fn configured_out(&self, _: u8) {}

    #[deprecated]
    fn old(&self) {}

    #[expect(unused_variables, reason = "fulfilled once, in the body")]
    fn expecting(&self, unused: u8) {}

    #[cfg_attr(not(any()), inline(never), must_use)]
    fn counted(&self) -> u8 {
        1
    }
}

#[rpc::methods]
#[cfg(any())]
impl NoSuchType {
    fn nothing(&self) {}
}

async fn calls_with_attributes(value: &RRef<Attributes>) -> Result<(), CallError> {
    value.rpc_async().configured_out(1).await?;
    value.rpc_async().counted().await?;
    #[expect(deprecated, reason = "that it warns is the test")]
    value.rpc_async().old().await
}

#[test]
fn attributes_have_their_effect() {
    let _ = calls_with_attributes;
    Attributes.expecting(1);
    assert!(entry("methods_macro::Attributes::configured_out").is_some());
}

macro_rules! cell_of {
    ($name:ident, $ty:ty, $result:ty) => {
        struct $name($ty);

        #[rpc::methods]
        impl $name {
            fn replaced(&mut self, value: $ty) -> $result {
                Ok(std::mem::replace(&mut self.0, value))
            }
        }
    };
}

cell_of!(FromMacro, u16, Result<u16, Overflow>);

#[test]
fn it_can_come_from_another_macro() {
    let _ = |value: RRef<FromMacro>| -> RpcFuture<u16, Overflow> { value.rpc_async().replaced(1) };
    assert_eq!(FromMacro(1).replaced(2), Ok(1));
    assert_eq!(
        signature("methods_macro::FromMacro::replaced"),
        Some("fn(&mut self, u16) -> Result<u16, Overflow>")
    );
}

#[test]
fn a_type_can_stand_inside_a_body() {
    struct Local(Inner);

    #[derive(Clone, Serialize, Deserialize)]
    struct Inner(u8);

    #[rpc::methods]
    impl Local {
        fn inner(&self) -> Inner {
            self.0.clone()
        }
    }

    let _ = |value: RRef<Local>| -> RpcFuture<Inner> { value.rpc_async().inner() };
    assert_eq!(Local(Inner(1)).inner().0, 1);
    // The path has no function in it.
    assert!(entry("methods_macro::Local::inner").is_some());
}

/// A crate that has the framework under another name.
mod renamed {
    pub(super) use ::rpc as framework;
}

struct Elsewhere;

#[rpc::methods(crate = "renamed::framework")]
impl Elsewhere {
    fn one(&self) -> u8 {
        1
    }
}

struct WithoutFacade;

#[rpc::methods(crate = "rpc::rpc_rref")]
impl WithoutFacade {
    async fn one(&mut self) -> u8 {
        1
    }
}

#[test]
fn the_framework_can_have_another_path() {
    let _ = |one: RRef<Elsewhere>, other: RRef<WithoutFacade>| (one.rpc_sync().one(), other.rpc_sync().one());
    assert!(entry("methods_macro::Elsewhere::one").is_some());
    assert!(entry("methods_macro::WithoutFacade::one").is_some());
}

struct Nothing;

#[rpc::methods]
impl Nothing {}

#[test]
fn a_block_can_be_empty() {
    let _ = |value: &RRef<Nothing>| {
        let _ = value.rpc_async();
    };
}
