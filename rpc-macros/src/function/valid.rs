//! What a remote function cannot be.

use syn::visit::{self, Visit};
use syn::{PatIdent, Result, Signature};

use crate::ast::Function;
use crate::attr::Options;
use crate::problems::{Problems, Subject};
use crate::valid;

const SUBJECT: Subject = Subject { noun: "remote function", way_out: "" };

/// Refuses what cannot be called from another worker, with every problem at once.
pub(crate) fn check(function: &Function, options: &Options) -> Result<()> {
    let mut problems = Problems::new(&SUBJECT);
    if let Some(receiver) = function.sig.receiver() {
        problems.add(
            receiver,
            "a remote function cannot take `self`: to call methods of a value through its `RRef`, put \
             `#[rpc::methods]` on the `impl` block in place of this",
        );
    }
    valid::check(&mut problems, function, options.inline);
    for arg in function.args() {
        ArgNames { problems: &mut problems, function: &function.sig }.visit_pat(&arg.pat);
    }
    problems.finish()
}

/// Looks for an argument with the function's own name, which would be a pattern of the unit struct.
struct ArgNames<'a> {
    problems: &'a mut Problems,
    function: &'a Signature,
}

impl<'ast> Visit<'ast> for ArgNames<'_> {
    fn visit_pat_ident(&mut self, name: &'ast PatIdent) {
        if name.ident == self.function.ident {
            self.problems
                .add(name, "an argument cannot have the name of its remote function; rename one of them");
        }
        visit::visit_pat_ident(self, name);
    }
}
