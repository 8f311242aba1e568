//! `#[rpc::function]` and `#[rpc::methods]`, which make functions, and methods of values that workers refer
//! to, callable from other workers.
//!
//! Use them through the crate `rpc`; or through `rpc-core` and `rpc-rref`, with the options
//! `crate = "rpc_core"` and `crate = "rpc_rref"`.
//!
//! What a macro writes cannot be read in one's own source, so these write little: unit structs and
//! implementations of the documented traits `RemoteFunction` and `RemoteMethod`, as one could write them by
//! hand. A mistake is reported where it stands, with the way out, and each report is pinned by a pair in
//! `rpc/tests/ui`.

use proc_macro::TokenStream;

// Reading order: what comes in, what is refused, what goes out.
mod ast;
mod attr;
mod problems;
mod valid;

mod glue;
mod signature;

mod function;
mod methods;

/// Makes a function callable from other workers.
///
/// The function stays what it was: `add(1.0, 2.0)` runs it here. Its bare name becomes a value that stands
/// for it in calls to other workers, with its types: a call of a function that is not marked, or with
/// other arguments, does not compile.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #[rpc::function]
/// fn add(a: f64, b: f64) -> f64 {
///     a + b
/// }
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct NoWords;
///
/// #[rpc::function]
/// async fn word_count(text: String) -> Result<usize, NoWords> {
///     match text.split_whitespace().count() {
///         0 => Err(NoWords),
///         count => Ok(count),
///     }
/// }
///
/// async fn calls(client: &rpc::Client) -> Result<(), rpc::CallError> {
///     let sum: f64 = client.rpc_async("worker1", add, (1.0, 2.0)).await?;
///     assert_eq!(sum, add(1.0, 2.0));
///
///     // `NoWords` arrives as what it is, beside what else can go wrong with a call.
///     match client.rpc_async("worker1", word_count, ("a few words".into(),)).await {
///         Ok(count) => assert_eq!(count, 3),
///         Err(rpc::CallError::Handler { error: NoWords, .. }) => unreachable!(),
///         Err(other) => eprintln!("{other:?}"),
///     }
///     Ok(())
/// }
/// # assert_eq!(add(1.0, 2.0), 3.0);
/// ```
///
/// # How it runs on the other worker
/// | written | runs |
/// |---|---|
/// | `fn` | on a thread of its own, from a pool that grows on demand; it may block |
/// | `async fn` | in place up to its first wait, then as a task; it must not block |
/// | `fn` with `inline` | in place, between reading two messages: for what is short and never blocks |
/// | `fn` that returns a future | as `async fn`; the caller gets what the future resolves to |
///
/// A future is recognised by its name: `RpcFuture<T>`, which is the call of another worker, `SharedFuture<T>`, which is what
/// a callback makes of it or a promise, `impl Future<Output = T>`, `BoxFuture<'static, T>`, `Pin<Box<dyn Future<Output = T> + Send>>`. The reply goes out when it completes, and no thread
/// is held meanwhile (torch's `async_execution`):
///
/// ```
/// # use rpc::{RpcFuture, Worker};
/// # #[rpc::function]
/// # fn add(a: f64, b: f64) -> f64 { a + b }
/// #[rpc::function]
/// fn add_on(to: String, a: f64, b: f64) -> RpcFuture<f64> {
///     Worker::current().rpc_async(&to, add, (a, b))
/// }
///
/// #[rpc::function]
/// fn add_three(to: String, [a, b, c]: [f64; 3]) -> impl Future<Output = Result<f64, rpc::CallError>> {
///     let worker = Worker::current();
///     let and = async move |sum, more| worker.rpc_async(&to, add, (sum, more)).await;
///     async move { and(and(a, b).await?, c).await }
/// }
/// ```
///
/// If the return type is called `Result` (`Result<T, E>`, `io::Result<T>`, an alias of yours with that
/// name), then `E` is the function's own error: the caller gets `Result<T, CallError<E>>`. Any other type
/// is a value as a whole, an alias `Fallible<T>` included.
///
/// What a function works on, beside its arguments, is in a `static`, unless a worker serves it by a closure of its own:
/// `FunctionTable::bind` gives it one, with the state that belongs to it.
///
/// # Options
/// - **`inline`**: see above.
/// - **`idempotent`**: to run it twice is as good as once. A call of it through `retrying(..)` is repeated also when nobody
///   knows whether it ran; a call of another function only when it surely did not.
/// - **`max_concurrency = 4`**: so many calls of it run at a time on a worker, whoever made them. Others wait their turn,
///   without a thread, and until their deadline; **`max_waiting = 16`** of them (without it 1,024). Beyond that a call fails as
///   `Failure::Overloaded`, and the function has not run. One that waits for a call of its own on the same worker,
///   with every turn taken, waits until its deadline.
/// - **`instances(f32, f64)`**: for a generic function, the types for which other workers can call it, as `total::<f32>`. With
///   several parameters each instance is a tuple, `instances((f32, u8), (f64, u8))`. The types are part of the name on
///   the wire, `my_app::total<f32>`. Here the function is for all types that it ever was for.
/// - **`name = "shop::add"`**: the name on the wire. Without it, it is the path of the module and the name
///   of the function, `my_app::math::add`. Names are unique in a program, and two functions of one name
///   inside the bodies of two functions of one module are not: give one of them another.
/// - **`crate = "path"`**: where the framework is, if not at `::rpc`. For programs that use `rpc-core`
///   alone it is `"rpc_core"`.
///
/// # What it expands to
/// ```
/// #[allow(non_camel_case_types)]
/// #[derive(Clone, Copy, Debug)]
/// struct add; // with the visibility and the documentation of the function
///
/// const _: () = {
///     use rpc::macro_support::{FunctionBody, FunctionEntry, Never, RemoteFunction, inventory};
///
///     impl add {
///         fn add(a: f64, b: f64) -> f64 {
///             a + b
///         }
///     }
///     // `add(1.0, 2.0)` goes through this. For an `async fn` it returns a boxed future.
///     impl std::ops::Deref for add {
///         type Target = &'static (dyn Fn(f64, f64) -> f64 + Send + Sync);
///         fn deref(&self) -> &Self::Target {
///             const FUNCTION: &'static (dyn Fn(f64, f64) -> f64 + Send + Sync) = &add::add;
///             &FUNCTION
///         }
///     }
///     impl RemoteFunction for add {
///         type Args = (f64, f64);
///         type Output = f64;
///         type Error = Never;
///         const NAME: &'static str = concat!(module_path!(), "::", "add");
///         const SIGNATURE: &'static str = "fn(f64, f64) -> f64";
///         const BODY: FunctionBody<(f64, f64), f64, Never> =
///             FunctionBody::Blocking(|(a, b)| Ok(add::add(a, b)));
///     }
///     // Collected at link time: whoever serves calls finds it in `FunctionTable::linked()`.
///     inventory::submit! { FunctionEntry::of::<add>() }
/// };
/// # assert_eq!(add(1.0, 2.0), 3.0);
/// ```
/// Documentation goes to the struct, lint levels and `#[cfg]` to both, other attributes to the function
/// inside.
///
/// # Restrictions
/// - Arguments and result are owned and implement serde's `Serialize` and `Deserialize`: they come from
///   another process. `String` instead of `&str`, `Vec<T>` instead of `&[T]`. At most 16 arguments.
/// - The future of an `async fn` is `Send`.
/// - No methods and no functions in `impl` blocks ([`methods`](macro@methods) is for those), no lifetime parameters, no
///   `impl Trait` but for a future as the result, no `const`, `unsafe` or `extern`. Type parameters need `instances`, which
///   in turn stands at the level of a module, not in the body of another function.
/// - The name stands for a unit struct. So no variable can have it where it is in scope: no `let`
///   (`let add = add(1.0, 2.0);` does not compile), no parameter of a function or closure (`.then(|add| ..)`), no name in
///   a pattern. rustc takes it for a pattern that is the struct, and says "mismatched types" (E0308) and "`add` is interpreted
///   as a unit struct, not a new binding"; of `mut add` it says that bindings cannot shadow unit structs (E0530). Rename the
///   variable. No type and no module beside it can have the name either. Where a function is
///   asked for as a value, write `*add`: `numbers.map(*double)`. `#[must_use]` and `#[track_caller]` have
///   no effect.
/// - A type in a signature is at least as visible as the function.
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    function::function(options.into(), item.into()).into()
}

/// Makes the methods of a type callable through references to its values.
///
/// It stands on one of the type's own `impl` blocks, whose methods stay what they were. A reference then has
/// them too, by name, in three ways: `rpc_async()` gives futures, `rpc_sync()` blocks, and `remote()` leaves
/// the result where it is and gives a reference to it. A method runs where its value is, on the value itself.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// use rpc::RRef;
///
/// struct Counter {
///     n: u64,
/// }
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Overflow;
///
/// #[rpc::methods]
/// impl Counter {
///     fn add(&mut self, by: u64) -> Result<u64, Overflow> {
///         self.n = self.n.checked_add(by).ok_or(Overflow)?;
///         Ok(self.n)
///     }
///
///     #[rpc(inline)]
///     fn value(&self) -> u64 {
///         self.n
///     }
///
///     #[rpc(skip)]
///     fn new() -> Self {
///         Self { n: 0 }
///     }
/// }
///
/// async fn calls(counter: &RRef<Counter>) -> Result<(), rpc::CallError> {
///     let n: u64 = counter.rpc_async().value().await?;
///     let kept: RRef<u64> = counter.remote().value()?;
///     assert_eq!(kept.to_here().await?, n);
///
///     // `Overflow` arrives as what it is, beside what else can go wrong with a call.
///     match counter.rpc_async().add(5).await {
///         Ok(sum) => assert_eq!(sum, n + 5),
///         Err(rpc::CallError::Handler { error: Overflow, .. }) => eprintln!("the counter is full"),
///         Err(other) => eprintln!("{other:?}"),
///     }
///     Ok(())
/// }
///
/// fn calls_of_a_plain_thread(counter: &RRef<Counter>) -> Result<u64, rpc::CallError> {
///     counter.rpc_sync().value()
/// }
/// # assert_eq!(Counter::new().value(), 0);
/// ```
///
/// # How methods of one value run
/// Those that take `&self` run side by side; one that takes `&mut self` runs alone. An `async` method has the
/// value in the same way until it has ended, and holds no thread while it waits. A method that waits for a call
/// of one of its own value, which would wait for it, gets `ReferenceError::WouldDeadlock` instead; through
/// another worker, or in a task of its own, such a call ends with its deadline. So does waiting for an exclusive
/// method that was called with `remote()`.
///
/// A method that panics is an error for its caller, and leaves the value as it was at that moment. Dropping the
/// future of a call does not stop its method; `cancel()` and `cancel_on_drop()` do.
///
/// | written | runs, once it has its value |
/// |---|---|
/// | `fn` | on a thread of its own, from a pool that grows on demand; it may block |
/// | `async fn` | in place up to its first wait, then as a task; it must not block |
/// | `fn` with `#[rpc(inline)]` | in place, between reading two messages: for what is short and never blocks |
///
/// What `Result` means is as for [`function`](macro@function).
///
/// # Options
/// - **`inline`**: all methods of the block that are not `async` run in place.
/// - **`name = "shop::Cart"`**: the name of the type on the wire, of which the methods' names are made:
///   `shop::Cart::add`. Without it, it is the path of the module and the type as the block spells it.
/// - **`crate = "path"`**: where the framework is, if not at `::rpc`. For programs that use `rpc-rref` alone
///   it is `"rpc_rref"`.
///
/// On a method:
/// - **`#[rpc(inline)]`**: see above.
/// - **`#[rpc(skip)]`**: it is not for other workers, and none of the restrictions below is for it.
/// - **`#[rpc(function = new_counter)]`**: it can be called without a reference, as a function of that name, which stands
///   beside the block. This is for what has no `self`; and for methods whose value is to travel along, as the first
///   argument: those with `self`, and those with `&self`, which can be called in both ways. `idempotent`, `max_concurrency` and
///   `max_waiting` may stand beside it, as for [`function`](macro@function).
///
/// ```
/// # use rpc::prelude::*;
/// #[derive(Serialize, Deserialize)]
/// struct Point(f64, f64);
///
/// #[rpc::methods]
/// impl Point {
///     #[rpc(function = point_at, idempotent)]
///     fn at(x: f64, y: f64) -> Self {
///         Self(x, y)
///     }
///
///     #[rpc(function = norm)]
///     fn norm(&self) -> f64 {
///         self.0.hypot(self.1)
///     }
/// }
///
/// async fn calls(worker: &Worker) -> Result<(), CallError> {
///     let point: RRef<Point> = worker.remote("worker1", point_at, (3.0, 4.0))?; // as `Point::at` is called here
///     let there: f64 = point.rpc_async().norm().await?; // on the value, where it is
///     let elsewhere: f64 = worker.rpc_async("worker2", norm, (Point(3.0, 4.0),)).await?; // on a copy
///     # assert_eq!(there, elsewhere);
///     Ok(())
/// }
/// ```
///
/// # What it expands to
/// ```
/// # use rpc::RRef;
/// # struct Counter {
/// #     n: u64,
/// # }
/// impl Counter {
///     fn add(&mut self, by: u64) -> u64 {
///         self.n += by;
///         self.n
///     }
/// }
///
/// const _: () = {
///     use rpc::macro_support::{
///         CallError, MethodBody, MethodEntry, Never, Proxy, RemoteMethod, RemoteMethods, RpcFuture, Run, inventory,
///     };
///
///     // For each method:
///     #[allow(non_camel_case_types)]
///     #[derive(Clone, Copy)]
///     struct Counter_add;
///
///     impl RemoteMethod for Counter_add {
///         type Value = Counter;
///         type Args = (u64,);
///         type Output = u64;
///         type Error = Never;
///         const NAME: &'static str = concat!(module_path!(), "::", "Counter", "::", "add");
///         const SIGNATURE: &'static str = "fn(&mut self, u64) -> u64";
///         const BODY: MethodBody<Counter, (u64,), u64, Never> =
///             MethodBody::Exclusive(Run::Thread, |value, (by,)| Ok(Counter::add(value, by)));
///     }
///     // Collected at link time: whoever serves calls finds it there.
///     inventory::submit! { MethodEntry::of::<Counter_add>() }
///
///     // What `rpc_async()` gives. Those for `rpc_sync()` and `remote()` differ in what they call and return.
///     #[derive(Clone, Copy)]
///     pub struct CounterRpcAsync<'a>(Proxy<'a, Counter>);
///
///     impl<'a> From<Proxy<'a, Counter>> for CounterRpcAsync<'a> {
///         fn from(proxy: Proxy<'a, Counter>) -> Self {
///             Self(proxy)
///         }
///     }
///     impl CounterRpcAsync<'_> {
///         fn add(self, by: u64) -> RpcFuture<u64, Never> {
///             self.0.rpc_async(Counter_add, (by,))
///         }
///     }
/// #   #[derive(Clone, Copy)]
/// #   pub struct CounterRpcSync<'a>(Proxy<'a, Counter>);
/// #   impl<'a> From<Proxy<'a, Counter>> for CounterRpcSync<'a> {
/// #       fn from(proxy: Proxy<'a, Counter>) -> Self {
/// #           Self(proxy)
/// #       }
/// #   }
/// #   impl CounterRpcSync<'_> {
/// #       fn add(self, by: u64) -> Result<u64, CallError<Never>> {
/// #           self.0.rpc_sync(Counter_add, (by,))
/// #       }
/// #   }
/// #   #[derive(Clone, Copy)]
/// #   pub struct CounterRpcRemote<'a>(Proxy<'a, Counter>);
/// #   impl<'a> From<Proxy<'a, Counter>> for CounterRpcRemote<'a> {
/// #       fn from(proxy: Proxy<'a, Counter>) -> Self {
/// #           Self(proxy)
/// #       }
/// #   }
/// #   impl CounterRpcRemote<'_> {
/// #       fn add(self, by: u64) -> Result<RRef<u64>, CallError<Never>> {
/// #           self.0.remote(Counter_add, (by,))
/// #       }
/// #   }
///     impl RemoteMethods for Counter {
///         type Async<'a> = CounterRpcAsync<'a>;
///         type Sync<'a> = CounterRpcSync<'a>;
///         type Remote<'a> = CounterRpcRemote<'a>;
///     }
/// };
/// # async fn calls(counter: RRef<Counter>) {
/// #     counter.rpc_async().add(1);
/// #     let _ = (counter.rpc_sync().add(1), counter.remote().add(1));
/// # }
/// ```
/// A proxy's method has the visibility, the documentation, the deprecation and the `#[cfg]` of the method;
/// `#[must_use]` is on the one that returns a future, for there the value is lost with it.
///
/// # Restrictions
/// - The type is [`Send`] and [`Sync`] and borrows nothing. It is not generic, but the block can be that of one
///   of its instances: `impl Shard<f32>`. One block of a type has the attribute; a trait's has not.
/// - A method takes `&self` or `&mut self`; one that takes neither is refused unless it has `#[rpc(skip)]` or
///   `#[rpc(function = ..)]`.
/// - Otherwise as for [`function`](macro@function): arguments and result are owned and have serde, and the
///   result is `Sync`, because `remote` keeps it where several threads may read it. No type or lifetime
///   parameters, no `impl Trait`, no `const`, `unsafe` or `extern`.
#[proc_macro_attribute]
pub fn methods(options: TokenStream, item: TokenStream) -> TokenStream {
    methods::methods(options.into(), item.into()).into()
}
