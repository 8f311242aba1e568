//! What `#[rpc::function]` makes of a function: still a function, and a remote one.

// The expansion must be usable in crates that forbid all of this.
#![forbid(unsafe_code)]
#![deny(missing_docs, warnings)]

use std::fmt;
use std::ops::Deref;

use rpc_core::{BoxFuture, FunctionBody, FunctionTable, Never, RemoteFunction};
use serde::{Deserialize, Serialize};

#[rpc::function]
fn add(a: f64, b: f64) -> f64 {
    a + b
}

#[rpc::function(inline)]
fn double(n: u64) -> u64 {
    n * 2
}

#[rpc::function]
fn answer() -> u64 {
    42
}

#[rpc::function]
fn forget(_: String) {}

#[rpc::function(name = "accounts::close")]
fn close_account((number, _name): (u32, String), mut log: Vec<String>) -> Vec<String> {
    log.push(format!("closed {number}"));
    log
}

/// How parsing a digit fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct NotADigit(char);

#[rpc::function]
fn digit(text: char) -> Result<u32, NotADigit> {
    // `?` works on the function's own error.
    let value = text.to_digit(10).ok_or(NotADigit(text))?;
    Ok(value)
}

#[rpc::function]
async fn digit_later(text: char) -> Result<u32, NotADigit> {
    std::future::ready(()).await;
    digit(text)
}

#[rpc::function]
async fn greet(name: String) -> String {
    format!("hello {name}")
}

/// The result that the functions beside it return.
mod aliased {
    use super::NotADigit;

    pub(super) type Result<T> = std::result::Result<T, NotADigit>;

    #[rpc::function]
    pub(super) fn first(text: String) -> Result<char> {
        text.chars().next().ok_or(NotADigit(' '))
    }
}

#[rpc::function]
fn second(text: String) -> aliased::Result<char> {
    text.chars().nth(1).ok_or(NotADigit(' '))
}

type Fallible<T> = Result<T, NotADigit>;

#[rpc::function]
fn hidden_result(text: char) -> Fallible<u32> {
    digit(text)
}

#[rpc::function]
fn factorial(n: u64) -> u64 {
    if n == 0 { 1 } else { n * factorial(n - 1) }
}

#[rpc::function]
async fn count_down(n: u32) -> u32 {
    if n == 0 { 0 } else { count_down(n - 1).await }
}

#[rpc::function]
fn own_name() -> String {
    // Inside the body, the name is the remote function too.
    remote_name(own_name)
}

fn remote_name<F: RemoteFunction>(_: F) -> String {
    F::NAME.to_owned()
}

fn signature<F: RemoteFunction>(_: F) -> &'static str {
    F::SIGNATURE
}

fn body<F: RemoteFunction>(_: F) -> FunctionBody<F::Args, F::Output, F::Error> {
    F::BODY
}

/// Runs `function` as a worker that serves a call of it would.
fn serve<F: RemoteFunction>(function: F, args: F::Args) -> Result<F::Output, F::Error> {
    match body(function) {
        FunctionBody::Blocking(run) | FunctionBody::Inline(run) => run(args),
        FunctionBody::Async(start) => block_on(start(args)),
        _ => panic!("a new kind of body"),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

#[test]
fn the_function_stays_an_ordinary_function() {
    assert_eq!(add(1.0, 2.0), 3.0);
    assert_eq!(answer(), 42);
    assert_eq!(digit('7'), Ok(7));
    assert_eq!(digit('x'), Err(NotADigit('x')));
    assert_eq!(aliased::first("abc".into()), Ok('a'));
    forget("it".into());
}

#[test]
fn dereferenced_it_is_a_value_that_can_be_handed_on() {
    fn on_a_thread(function: impl Fn(u64) -> u64 + Send + 'static) -> u64 {
        std::thread::spawn(move || function(2)).join().expect("no panic")
    }
    assert_eq!([1, 2].map(*double), [2, 4]);
    assert_eq!(on_a_thread(*double), 4);
}

#[test]
fn an_async_function_is_awaited_as_before() {
    assert_eq!(block_on(greet("you".into())), "hello you");
    let boxed: BoxFuture<'static, Result<u32, NotADigit>> = digit_later('7');
    assert_eq!(block_on(boxed), Ok(7));
}

#[test]
fn it_recurses_by_its_own_name() {
    assert_eq!(factorial(10), 3_628_800);
    assert_eq!(block_on(count_down(100)), 0);
    assert_eq!(own_name(), "function_macro::own_name");
}

#[test]
fn a_served_call_gives_what_the_function_gives() {
    assert_eq!(serve(add, (1.0, 2.0)), Ok(3.0));
    assert_eq!(serve(answer, ()), Ok(42));
    assert_eq!(serve(double, (4,)), Ok(8));
    assert_eq!(serve(forget, ("it".into(),)), Ok(()));
    assert_eq!(serve(greet, ("you".into(),)), Ok("hello you".into()));
    let log = serve(close_account, ((7, "x".into()), vec!["opened 7".into()]));
    assert_eq!(log, Ok(vec!["opened 7".into(), "closed 7".into()]));
}

#[test]
fn a_result_by_any_path_is_split_into_output_and_error() {
    assert_eq!(serve(digit, ('7',)), Ok(7));
    assert_eq!(serve(digit, ('x',)), Err(NotADigit('x')));
    assert_eq!(serve(digit_later, ('x',)), Err(NotADigit('x')));
    assert_eq!(serve(aliased::first, ("abc".into(),)), Ok('a'));
    assert_eq!(serve(second, (String::new(),)), Err(NotADigit(' ')));
}

#[test]
fn a_result_by_another_name_is_a_plain_output() {
    let served: Result<Result<u32, NotADigit>, Never> = serve(hidden_result, ('x',));
    assert_eq!(served, Ok(Err(NotADigit('x'))));
}

#[test]
fn each_kind_of_function_has_its_kind_of_body() {
    assert!(matches!(body(add), FunctionBody::Blocking(_)));
    assert!(matches!(body(double), FunctionBody::Inline(_)));
    assert!(matches!(body(greet), FunctionBody::Async(_)));
}

#[test]
fn names_are_paths_unless_given() {
    assert_eq!(remote_name(add), "function_macro::add");
    assert_eq!(remote_name(aliased::first), "function_macro::aliased::first");
    assert_eq!(remote_name(close_account), "accounts::close");
    assert_eq!(remote_name(r#match), "function_macro::match");
}

#[test]
fn signatures_read_like_the_source() {
    assert_eq!(signature(add), "fn(f64, f64) -> f64");
    assert_eq!(signature(answer), "fn() -> u64");
    assert_eq!(signature(forget), "fn(String)");
    assert_eq!(signature(digit_later), "async fn(char) -> Result<u32, NotADigit>");
    assert_eq!(signature(close_account), "fn((u32, String), Vec<String>) -> Vec<String>");
}

#[test]
fn every_marked_function_of_the_program_is_registered() {
    let table = FunctionTable::linked().expect("names are unique");
    let signature_of = |name: &str| table.iter().find(|f| f.name() == name).map(|f| f.signature());
    assert_eq!(signature_of("function_macro::add"), Some("fn(f64, f64) -> f64"));
    assert_eq!(signature_of("function_macro::aliased::first"), Some("fn(String) -> Result<char>"));
    assert_eq!(signature_of("accounts::close"), Some("fn((u32, String), Vec<String>) -> Vec<String>"));
    assert_eq!(signature_of("function_macro::in_a_body"), Some("fn(u8) -> u8"));
    assert_eq!(signature_of("function_macro::remote_name"), None);
    assert_eq!(signature_of("function_macro::configured_out"), None);
}

#[test]
fn a_function_can_stand_inside_a_body() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Local(u8);

    fn helper(n: u8) -> u8 {
        n + 1
    }

    #[rpc::function]
    fn in_a_body(n: u8) -> u8 {
        helper(n)
    }

    #[rpc::function]
    async fn with_a_local_type(local: Local) -> Local {
        local
    }

    assert_eq!(in_a_body(1), 2);
    assert_eq!(serve(in_a_body, (1,)), Ok(2));
    assert_eq!(serve(with_a_local_type, (Local(3),)), Ok(Local(3)));
    // The path has no function in it.
    assert_eq!(remote_name(in_a_body), "function_macro::in_a_body");
}

/// Functions as the rest of a program sees them.
pub mod public {
    /// Adds one.
    #[rpc::function]
    pub fn increment(n: u8) -> u8 {
        n + 1
    }

    #[rpc::function]
    pub(crate) fn restricted() -> u8 {
        super::in_parent(super::answer())
    }
}

#[rpc::function]
fn in_parent(n: u64) -> u8 {
    n as u8
}

#[test]
fn visibility_is_the_functions_own() {
    assert_eq!(public::increment(1), 2);
    assert_eq!(public::restricted(), 42);
}

#[rpc::function]
#[allow(unused_variables, non_snake_case, reason = "the test is that these reach the body")]
fn Shouting(unused: u8) {
    let alsoUnused = 1;
}

#[rpc::function]
#[expect(unused_variables, reason = "fulfilled once, in the body")]
fn expecting(unused: u8) {}

#[rpc::function]
#[cfg(any())]
fn configured_out(no_such_type: NoSuchType) {}

#[rpc::function]
#[cfg(not(any()))]
#[cfg_attr(not(any()), inline(never))]
fn configured_in() {}

#[rpc::function]
#[deprecated]
fn old(n: u8) -> u8 {
    if n == 0 { 0 } else { old(n - 1) }
}

#[rpc::function]
fn r#match(r#type: u8) -> u8 {
    r#type
}

// Names that the expansion itself or the lints about methods might trip over.
#[rpc::function]
fn new() {}

#[rpc::function]
fn clone(arg0: u8, arg1: u8) -> u8 {
    arg0 - arg1
}

#[rpc::function]
fn deref(target: u8) -> u8 {
    target
}

#[test]
fn attributes_stay_where_they_belong() {
    Shouting(1);
    expecting(1);
    configured_in();
    assert_eq!(r#match(1), 1);
    #[expect(deprecated, reason = "that it warns is the test")]
    {
        assert_eq!(old(1), 0);
    }
}

#[test]
fn names_of_methods_are_good_names() {
    new();
    assert_eq!(serve(clone, (3, 1)), Ok(2));
    assert_eq!(deref(5), 5);
}

#[test]
fn the_struct_is_a_small_printable_value() {
    fn is_plain<F: Copy + fmt::Debug + Deref + Send + Sync + 'static>(function: F) -> String {
        format!("{function:?}")
    }
    assert_eq!(is_plain(add), "add");
    assert_eq!(size_of_val(&add), 0);
}

macro_rules! remote_of {
    ($name:ident, $ty:ty, $result:ty) => {
        #[rpc::function]
        fn $name(value: $ty) -> $result {
            Ok(value)
        }
    };
}

remote_of!(from_a_macro, u16, Result<u16, NotADigit>);

#[test]
fn it_can_come_from_another_macro() {
    assert_eq!(serve(from_a_macro, (1,)), Ok(1));
    assert_eq!(signature(from_a_macro), "fn(u16) -> Result<u16, NotADigit>");
}

/// A crate that has the framework under another name.
mod renamed {
    pub(super) use ::rpc as framework;
}

#[rpc::function(crate = "renamed::framework", inline)]
fn through_another_path() -> u8 {
    1
}

#[test]
fn the_framework_can_have_another_path() {
    assert_eq!(serve(through_another_path, ()), Ok(1));
}

#[rpc::function]
#[allow(clippy::too_many_arguments, reason = "the most there can be")]
fn sixteen(
    a: u8,
    b: u8,
    c: u8,
    d: u8,
    e: u8,
    f: u8,
    g: u8,
    h: u8,
    i: u8,
    j: u8,
    k: u8,
    l: u8,
    m: u8,
    n: u8,
    o: u8,
    p: u8,
) -> [u8; 16] {
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

#[test]
fn sixteen_arguments_arrive_in_order() {
    let sent = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    assert_eq!(serve(sixteen, sent), Ok([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]));
}
