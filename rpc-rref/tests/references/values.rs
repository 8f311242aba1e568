//! Values: made on their owner, copied from there, borrowed there.

use rpc_core::ReferenceError;
use rpc_rref::RRef;

use crate::common::Refs;
use crate::functions::{read, text_of};

#[tokio::test(start_paused = true)]
async fn a_value_is_made_where_it_was_asked_for_and_copied_from_there() {
    let refs = Refs::new(2).await;
    let text: RRef<String> = refs.registry(0).remote("worker1", text_of, (7,)).unwrap();
    assert_eq!(text.owner_name(), "worker1");
    assert!(!text.is_owner());
    assert_eq!(text.to_here().await.unwrap(), "value 7");
    text.created().await.unwrap();
    assert!(text.confirmed_by_owner());
    drop(text);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_passed_on_reads_the_same_value() {
    let refs = Refs::new(3).await;
    let (mine, value) = refs.own(0);
    let back = refs.client(0).rpc_async("worker1", read, (mine.clone(),)).await.unwrap();
    assert_eq!(back, value);
    drop(mine);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_borrows_the_value_itself() {
    let refs = Refs::new(2).await;
    let text = RRef::new(refs.registry(0), String::from("mine"));
    text.local_value_mut().await.unwrap().push('!');
    assert_eq!(*text.local_value().await.unwrap(), "mine!");
    let other: RRef<String> = refs.registry(0).remote(1, text_of, (1,)).unwrap();
    let error = other.local_value().await.unwrap_err();
    assert!(matches!(error, ReferenceError::NotOwner { .. }), "{error}");
    drop((text, other));
    refs.assert_empty().await;
}
