//! What must not compile, with the message that the user sees.
//!
//! `TRYBUILD=overwrite cargo test -p macro-tests` writes the messages anew; read the diff.

#[test]
fn mistakes_do_not_compile_and_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
