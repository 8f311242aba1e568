//! `#[rpc::function]`, which makes a function callable from other workers.
//!
//! Use it through the crate `rpc`, or through `rpc-core` with the option `crate = "rpc_core"`.
//!
//! What a macro writes cannot be read in one's own source, so this one writes little: a unit struct and an
//! implementation of the documented trait `RemoteFunction`, as one could write it by hand. A mistake is
//! reported where it stands, with the way out, and each report is pinned by a pair in `rpc/tests/ui`.

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
///
/// If the return type is called `Result` (`Result<T, E>`, `io::Result<T>`, an alias of yours with that
/// name), then `E` is the function's own error: the caller gets `Result<T, CallError<E>>`. Any other type
/// is a value as a whole, an alias `Fallible<T>` included.
///
/// # Options
/// - **`inline`**: see above.
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
/// - No methods, no functions in `impl` blocks, no type or lifetime parameters, no `impl Trait`, no `const`,
///   `unsafe` or `extern`.
/// - The name stands for a unit struct. So no local variable can have it where it is in scope
///   (`let add = add(1.0, 2.0);` does not compile), and no type or module beside it. Where a function is
///   asked for as a value, write `*add`: `numbers.map(*double)`. `#[must_use]` and `#[track_caller]` have
///   no effect.
/// - A type in a signature is at least as visible as the function.
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    function::function(options.into(), item.into()).into()
}

/// Makes the methods of a type callable through references to its values.
///
/// On the type's own `impl` block. Methods stay what they were; `#[rpc(skip)]` keeps one local, and
/// `#[rpc(inline)]` is for what is short and never blocks. Options as for [`function`](macro@function); `name`
/// is in place of the path of the type.
#[proc_macro_attribute]
pub fn methods(options: TokenStream, item: TokenStream) -> TokenStream {
    methods::methods(options.into(), item.into()).into()
}
