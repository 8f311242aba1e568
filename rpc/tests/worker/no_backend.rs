//! A build without any backend.

use rpc::prelude::*;
use rpc::rpc_core::RegistryError;

use crate::support::builder;

#[test]
fn a_build_without_backends_says_which_feature_adds_one() {
    let error = builder(0, 1, &Default::default()).variables(|_| None).blocking_init().unwrap_err();
    assert!(matches!(error, InitError::Registry(RegistryError::Unknown { .. })));
    let text = error.to_string();
    assert_eq!(text, "no backend is named tcp; this build has none; build with --features tcp to add it");
}
