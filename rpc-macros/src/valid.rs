//! What neither a remote function nor a remote method can be, each with the reason and the way out.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{
    Attribute, GenericParam, Generics, Lifetime, Path, ReturnType, Safety, Signature, Type, TypeImplTrait,
    TypeNever, TypeReference,
};

use crate::ast::{Function, FutureType, is};
use crate::problems::Problems;

/// How many arguments there can be: serde goes no further with tuples.
const ARGS_MAX: usize = 16;

/// Finds what stands in the way of a call from another worker, but for `self` and for type parameters.
pub(crate) fn check(problems: &mut Problems, function: &Function, inline: Option<Span>) {
    check_kind(problems, &function.sig);
    check_waiting(problems, function, inline);
    check_args(problems, function);
    Types { problems, side: Side::Result }.visit_type(&function.value_type());
}

/// `inline` is for what never waits, and an `async fn` has a value that is no future.
fn check_waiting(problems: &mut Problems, function: &Function, inline: Option<Span>) {
    match inline {
        Some(inline) if function.is_async() => problems.add_at(
            inline,
            "`inline` is for `fn`: an `async fn` is polled in place anyway, and spawned if it waits",
        ),
        Some(inline) if function.is_awaited() => problems.add_at(
            inline,
            "`inline` is for functions that return their value: a future is polled in place anyway, and spawned if \
             it waits",
        ),
        _ => {}
    }
    if let ReturnType::Type(_, returned) = &function.sig.output
        && function.is_async()
        && FutureType::of(returned).is_some()
    {
        let noun = problems.subject.noun;
        let message = format_args!(
            "the value of an `async` {noun} cannot be a future, which is of no use elsewhere: await it here, or \
             leave out `async`"
        );
        problems.add(returned, message);
    }
}

fn check_kind(problems: &mut Problems, sig: &Signature) {
    let noun = problems.subject.noun;
    if let Some(constness) = &sig.constness {
        problems.add(constness, format_args!("a {noun} cannot be `const`: it runs on another worker"));
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        problems.add(
            unsafety,
            format_args!("a {noun} cannot be `unsafe`: no caller on another worker can keep its contract"),
        );
    }
    if let Some(abi) = &sig.abi {
        problems
            .add(abi, format_args!("a {noun} cannot be `extern`: it is called by its name, not by its ABI"));
    }
}

/// Refuses all parameters; `way_out` is for those that are types.
pub(crate) fn check_generics(problems: &mut Problems, generics: &Generics, way_out: &str) {
    let noun = problems.subject.noun;
    for param in &generics.params {
        match param {
            GenericParam::Type(_) => problems.add(
                param,
                format_args!(
                    "a {noun} cannot be generic: other workers call it by its name alone; {way_out}"
                ),
            ),
            GenericParam::Const(_) => problems.add(
                param,
                format_args!(
                    "a {noun} cannot be generic: other workers call it by its name alone; write one for each value"
                ),
            ),
            GenericParam::Lifetime(_) => check_lifetime(problems, param),
        }
    }
    // With parameters there, the clause is about them and has been answered for.
    if let (Some(clause), true) = (&generics.where_clause, generics.params.is_empty()) {
        problems.add(clause, format_args!("a {noun} cannot have a `where` clause"));
    }
}

/// Refuses a lifetime among the parameters.
pub(crate) fn check_lifetime(problems: &mut Problems, param: &GenericParam) {
    let noun = problems.subject.noun;
    problems.add(
        param,
        format_args!("a {noun} cannot have lifetime parameters: its arguments come from another process"),
    );
}

fn check_args(problems: &mut Problems, function: &Function) {
    let noun = problems.subject.noun;
    if let Some(variadic) = &function.sig.variadic {
        problems.add(variadic, format_args!("a {noun} cannot be variadic; take a `Vec`"));
    }
    if let Some(first_too_many) = function.args().nth(ARGS_MAX) {
        problems.add(
            first_too_many,
            format_args!("a {noun} has at most {ARGS_MAX} arguments; put them into a struct"),
        );
    }
    for arg in function.args() {
        if let Some(cfg) = arg.attrs.iter().find(|attr: &&Attribute| is(attr, &["cfg", "cfg_attr"])) {
            let on = noun.rsplit(' ').next().unwrap_or(noun);
            problems
                .add(cfg, format_args!("an argument of a {noun} cannot depend on `cfg`; put it on the {on}"));
        }
        Types { problems, side: Side::Argument }.visit_type(&arg.ty);
    }
}

#[derive(Clone, Copy)]
enum Side {
    Argument,
    Result,
}

/// Looks for types that cannot travel. What merely lacks serde is left to the compiler.
struct Types<'a> {
    problems: &'a mut Problems,
    side: Side,
}

impl<'ast> Visit<'ast> for Types<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let owned = owned_form(reference);
        let why = match self.side {
            Side::Argument => "an argument cannot be borrowed: it comes from another worker; take",
            Side::Result => "a result cannot be borrowed: it goes to another worker; return",
        };
        self.problems.add(reference, format_args!("{why} {owned}"));
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            let message = "arguments and results travel between workers and cannot borrow; use an owned type";
            self.problems.add(lifetime, message);
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.problems.add(ty, "`impl Trait` cannot travel between workers: name the type");
    }

    fn visit_type_never(&mut self, ty: &'ast TypeNever) {
        let noun = self.problems.subject.noun;
        self.problems
            .add(ty, format_args!("a {noun} must be able to return: its caller waits for the reply"));
    }

    fn visit_path(&mut self, path: &'ast Path) {
        // In methods it has been spelled out before it gets here.
        if path.segments.first().is_some_and(|first| first.ident == "Self") {
            let message = "a remote function cannot stand in an `impl` block: put `#[rpc::methods]` on the \
                           block, or make it a free function";
            self.problems.add(path, message);
        } else {
            visit::visit_path(self, path);
        }
    }
}

/// What to take instead of a reference, as people spell it.
fn owned_form(reference: &TypeReference) -> String {
    match &*reference.elem {
        Type::Path(named) if named.path.is_ident("str") => "`String`".into(),
        Type::Slice(_) => "a `Vec`".into(),
        _ => "the value itself".into(),
    }
}
