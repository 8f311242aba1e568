//! What goes in and what comes out, as tokens; what it does is tested in the crate `rpc`.

use quote::ToTokens;
use syn::{ImplItem, Item, ItemImpl, Stmt};

use super::*;

/// The block as it is left, and the items beside it.
fn expansion(source: &str) -> (ItemImpl, Vec<Item>) {
    let tokens = methods(TokenStream::new(), source.parse().unwrap());
    let file = syn::parse2::<syn::File>(tokens).unwrap();
    let mut items = file.items.into_iter();
    let (Some(Item::Impl(block)), Some(Item::Const(hidden)), None) =
        (items.next(), items.next(), items.next())
    else {
        panic!("a block and a constant");
    };
    let syn::Expr::Block(contents) = *hidden.expr else { panic!("the value is a block") };
    let item = |stmt| match stmt {
        Stmt::Item(item) => item,
        other => Item::Verbatim(other.into_token_stream()),
    };
    (block, contents.block.stmts.into_iter().map(item).collect())
}

/// The methods of the proxy whose name ends so, as text.
fn proxy_methods(items: &[Item], end: &str) -> Vec<String> {
    let is_proxy = |of: &ItemImpl| of.trait_.is_none() && text(&of.self_ty).contains(end);
    let block = items.iter().find_map(|item| match item {
        Item::Impl(of) if is_proxy(of) => Some(of),
        _ => None,
    });
    block.unwrap().items.iter().map(text).collect()
}

/// Tokens without the white space between them.
fn text(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().replace(' ', "")
}

fn as_it_was(source: &str) -> String {
    text(&syn::parse_str::<ItemImpl>(source).unwrap())
}

#[test]
fn the_block_stays_as_it_was_without_the_options() {
    let (block, _) = expansion(
        r#"
        #[allow(unused)]
        impl Counter {
            #![allow(dead_code)]
            const MAX: Bound = Bound { n: 10 };
            generated! { "as" it [is] }
            also_generated!(fn nothing(););
            #[rpc(skip)]
            pub fn new((a, _): (u8, u8)) -> Self { Self { n: a } }
            /// Adds.
            #[rpc(inline)]
            #[inline]
            fn add(&mut self, #[allow(unused)] mut by: u64) -> u64 { by }
        }
        "#,
    );
    assert_eq!(
        text(&block),
        as_it_was(
            r#"
            #[allow(unused)]
            impl Counter {
                #![allow(dead_code)]
                const MAX: Bound = Bound { n: 10 };
                generated! { "as" it [is] }
                also_generated!(fn nothing(););
                pub fn new((a, _): (u8, u8)) -> Self { Self { n: a } }
                /// Adds.
                #[inline]
                fn add(&mut self, #[allow(unused)] mut by: u64) -> u64 { by }
            }
            "#
        )
    );
}

#[test]
fn bodies_are_not_parsed() {
    let tokens = methods(TokenStream::new(), "impl A { fn f(&self) { 1 +* 2 } }".parse().unwrap());
    assert!(tokens.to_string().contains("1 +* 2"), "{tokens}");
    assert!(!tokens.to_string().contains("compile_error"), "{tokens}");
}

#[test]
fn a_block_that_cannot_be_read_keeps_everything_but_its_options() {
    let source = "impl A { #[rpc(inline)] #[rpc::function] #[rpc] fn f(&self) { [rpc]; } fn g(a) {} }";
    let tokens = methods(TokenStream::new(), source.parse().unwrap()).to_string().replace(' ', "");
    let kept = "implA{#[rpc::function]fnf(&self){[rpc];}fng(a){}}";
    assert!(tokens.starts_with(kept) && tokens.contains("compile_error"), "{tokens}");
}

#[test]
fn proxies_have_the_methods_names_visibility_and_arguments() {
    let (_, items) = expansion(
        "impl Counter { pub(crate) fn add(&mut self, mut by: u64, (a, _): (u8, u8), _: u8) -> u64 { 0 } }",
    );
    let [method] = &proxy_methods(&items, "CounterRpcAsync")[..] else { panic!("one method") };
    assert!(
        method.starts_with(
            "pub(crate)fnadd(self,by:u64,arg1:(u8,u8),arg2:u8)->::rpc::macro_support::RpcFuture<u64,"
        ),
        "{method}"
    );
}

#[test]
fn attributes_go_where_they_have_an_effect() {
    let (_, items) = expansion(
        "impl Counter {
            /// Counts.
            #[cfg(unix)] #[deprecated] #[must_use] #[allow(unused)] #[cold] #[track_caller]
            fn value(&self) -> u64 { 0 }
        }",
    );
    let attrs_of = |end| {
        let method = proxy_methods(&items, end).remove(0);
        method.split_once("fnvalue").map(|(attrs, _)| attrs.to_owned())
    };
    let of_all = r#"#[cfg_attr(not(doctest),doc="Counts.")]#[cfg(unix)]#[deprecated]#[allow(unused)]"#;
    assert_eq!(attrs_of("RpcAsync"), Some(format!("{of_all}#[must_use]")));
    assert_eq!(attrs_of("RpcSync"), Some(of_all.to_owned()));
    assert_eq!(attrs_of("RpcRemote"), Some(format!("{of_all}#[track_caller]")));
}

#[test]
fn what_depends_on_cfg_does_so_everywhere() {
    let (_, items) = expansion("#[cfg(unix)] impl A { #[cfg(any())] fn f(&self) {} }");
    let is_of_method = |item: &&Item| text(*item).contains("A_f") && !text(*item).contains("implARpc");
    let of_method: Vec<_> = items.iter().filter(is_of_method).map(text).collect();
    assert_eq!(of_method.len(), 3, "the struct, the trait and the registration: {of_method:?}");
    assert!(of_method.iter().all(|item| item.starts_with("#[cfg(any())]")), "{of_method:?}");
    assert!(proxy_methods(&items, "ARpcAsync")[0].starts_with("#[cfg(any())]"));
}

#[test]
fn self_is_spelled_out_where_it_would_be_another_type() {
    let (_, items) = expansion(
        "impl a::Tree<u8> { fn join(&self, with: Vec<Self>, Self { n }: Self) -> Result<Self, Error<Self>> { x } }",
    );
    let [method] = &proxy_methods(&items, "TreeRpcSync")[..] else { panic!("one method") };
    assert!(method.contains("with:Vec<a::Tree<u8>>,arg1:a::Tree<u8>"), "{method}");
    assert!(!method.contains("Self"), "{method}");
    let implementation = items.iter().find(|item| text(*item).contains("RemoteMethodforTree_join")).unwrap();
    let ImplItem::Type(args) = &as_impl(implementation).items[1] else { panic!("the arguments") };
    assert_eq!(text(&args.ty), "(Vec<a::Tree<u8>>,a::Tree<u8>,)");
}

fn as_impl(item: &Item) -> &ItemImpl {
    match item {
        Item::Impl(of) => of,
        _ => panic!("not an implementation"),
    }
}

#[test]
fn a_wrong_method_is_an_error_and_the_others_are_there() {
    let tokens = methods(TokenStream::new(), "impl A { fn f(self) {} fn g(&self) {} }".parse().unwrap());
    let tokens = tokens.to_string();
    assert!(tokens.contains("compile_error"), "{tokens}");
    assert!(tokens.contains("A_g") && !tokens.contains("A_f"), "{tokens}");
}
