//! Requests as a hostile worker of the group makes them: it has the credentials, and lies.
//!
//! Worker 2 forges; workers 0 and 1 share a value.

use rpc_core::{Failure, Outcome, ReferenceError, Request, Response};
use rpc_rref::proto::{Msg, Registration, Transfer};
use rpc_rref::{RRef, RRefId};

use crate::common::{CONTROL, CREATE, FETCH, METHOD, Refs, id, ms, within};
use crate::counter::Counter;
use crate::functions::{alive, fresh, gone, hold_at_gate, keep, nothing, runs, tracked};
use crate::raw::{
    CreateAside, FetchAside, MethodAside, Travelling, function_id, method_id, raw_request, request, send,
    send_batch,
};

const CALL: u8 = rpc_core::Kind::CALL.0;
const CREATE_BY_METHOD: u8 = 0x16;

/// What the forger hears: an error of the request, or nothing until its deadline.
async fn refused(refs: &Refs, to: usize, request: Request) -> Option<Response> {
    let reply = refs.client(2).agent().send(id(to), request);
    match within(ms(1_100), reply).await {
        Ok(response) => {
            assert_ne!(response.outcome, Outcome::Ok, "{response:?}");
            Some(response)
        }
        Err(Failure::TimedOut { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Whether everybody still does what they should.
async fn all_is_well(refs: &Refs, at_1: &RRef<Counter>, n: u64) {
    assert_eq!(within(ms(100), at_1.rpc_async().value()).await.unwrap(), n);
    for (from, to) in [(2, "worker0"), (0, "worker2"), (1, "worker0")] {
        within(ms(100), refs.client(from).rpc_async(to, nothing, ())).await.unwrap();
    }
}

/// A counter of worker 0, of which worker 1 has a handle and worker 2 has none.
async fn victim() -> (Refs, RRef<Counter>, RRef<Counter>) {
    let refs = Refs::new(3).await;
    let (mine, at_1) = crate::methods::counter(&refs).await;
    (refs, mine, at_1)
}

/// Ids that are there, but not for the forger, and ids that are not.
fn ids(real: RRefId) -> Vec<RRefId> {
    let new = |owner, creator, number| RRefId { owner: id(owner), creator: id(creator), number };
    vec![
        real,
        new(0, 0, 1),
        new(0, 0, 1_000),
        new(0, 0, u64::MAX),
        new(0, 1, 0),
        new(0, 2, 0),
        new(0, 2, 1 << 30),
        new(1, 0, 0),
        new(1, 1, 0),
        new(2, 0, 0),
        new(0, 99, 0),
        new(99, 0, 0),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_forged_id_fetches_nothing() {
    let (refs, mine, at_1) = victim().await;
    for rref in ids(mine.id()) {
        for nested in [false, true] {
            for what in [0, 1, 7] {
                refused(&refs, 0, request(FETCH, what, &(), &FetchAside { rref, nested })).await;
            }
        }
    }
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_forged_id_calls_no_method() {
    let (refs, mine, at_1) = victim().await;
    for rref in ids(mine.id()) {
        for nested in [false, true] {
            let aside = MethodAside { rref, nested, handles: Vec::new() };
            refused(&refs, 0, request(METHOD, method_id("Counter::add"), &(5_u64,), &aside)).await;
        }
    }
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_forged_id_makes_nothing_by_a_method() {
    let (refs, mine, at_1) = victim().await;
    for (number, of) in ids(mine.id()).into_iter().enumerate() {
        let rref = RRefId { owner: id(0), creator: id(2), number: number as u64 };
        let aside = CreateAside { rref, place: "nowhere", handles: Vec::new(), of: Some(of) };
        let request = request(CREATE_BY_METHOD, method_id("Counter::add"), &(5_u64,), &aside);
        let _ = within(ms(1_100), refs.client(2).agent().send(id(0), request)).await;
    }
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.kill(2); // it was listed as the creator of what it asked for, and does not release it
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_value_is_not_created_in_anothers_name_or_over_another() {
    let (refs, mine, at_1) = victim().await;
    let value = fresh();
    for rref in ids(mine.id()).into_iter().filter(|rref| rref.creator != id(2) || rref.number > 1) {
        let aside = CreateAside { rref, place: "nowhere", handles: Vec::new(), of: None };
        refused(&refs, 0, request(CREATE, function_id(tracked), &(value,), &aside)).await.unwrap();
    }
    assert_eq!(runs(value), 0);
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// A value of worker 1 that is not created yet: worker 2 asks for it under the number that comes next.
#[tokio::test(start_paused = true)]
async fn the_next_number_of_another_creator_is_not_taken() {
    let (refs, mine, at_1) = victim().await;
    let (forged, real) = (fresh(), fresh());
    let rref = RRefId { owner: id(0), creator: id(1), number: 0 };
    let aside = CreateAside { rref, place: "nowhere", handles: Vec::new(), of: None };
    refused(&refs, 0, request(CREATE, function_id(tracked), &(forged,), &aside)).await.unwrap();
    let made = refs.registry(1).remote("worker0", tracked, (real,)).unwrap();
    assert_eq!(made.id(), rref);
    assert_eq!(made.to_here().await.unwrap().ticket(), real);
    assert_eq!(runs(forged), 0);
    drop((mine, at_1, made));
    refs.assert_empty().await;
}

/// Handles that were never sent: to values that are there, not there, and of nobody.
#[tokio::test(start_paused = true)]
async fn forged_handles_in_a_call_reach_nothing_and_do_not_stay() {
    let (refs, mine, at_1) = victim().await;
    let (other, value) = refs.own(0);
    for (number, rref) in ids(other.id()).into_iter().enumerate() {
        let ticket = fresh();
        let aside = vec![Travelling(rref, Transfer(number as u64))];
        // As an argument, the handle has index 0.
        let request = request(CALL, function_id(hold_at_gate), &(ticket, 0_u32), &aside);
        let reply = refs.client(2).agent().send(id(1), request);
        let _ = within(ms(1_100), reply).await;
    }
    for (from, to) in [(1, "worker0"), (0, "worker1")] {
        within(ms(100), refs.client(from).rpc_async(to, nothing, ())).await.unwrap();
    }
    assert_eq!(alive(value), 1);
    drop((mine, at_1, other));
    refs.kill(2);
    refs.assert_empty().await;
    gone(value).await;
}

/// A method that takes a reference is called with a forged one, by somebody who may call the method.
#[tokio::test(start_paused = true)]
async fn forged_handles_in_a_method_reach_nothing() {
    let refs = Refs::new(3).await;
    let mine = RRef::new(refs.registry(0), Counter::default());
    let ticket = fresh();
    refs.client(0).rpc_async("worker2", crate::counter::keep_counter, (ticket, mine.clone())).await.unwrap();
    let at_2: RRef<Counter> = crate::functions::taken(ticket);
    let (secret, value) = refs.own(1);
    refs.settle().await;
    // What is guessed right: see below.
    let wrong = ids(mine.id()).into_iter().filter(|rref| *rref != secret.id() && *rref != mine.id());
    for (number, forged) in wrong.enumerate() {
        let handles = vec![Travelling(forged, Transfer(10 + number as u64))];
        let aside = MethodAside { rref: at_2.id(), nested: false, handles };
        let request = request(METHOD, method_id("Counter::keep"), &(fresh(), 0_u32), &aside);
        let _ = within(ms(1_100), refs.client(2).agent().send(id(0), request)).await;
    }
    assert_eq!(within(ms(100), mine.rpc_async().value()).await.unwrap(), 0);
    drop((mine, at_2, secret));
    refs.kill(2);
    refs.assert_empty().await;
    gone(value).await;
}

#[tokio::test(start_paused = true)]
async fn forged_messages_of_the_protocol_take_nothing_from_others() {
    let (refs, mine, at_1) = victim().await;
    let (registration, transfer) = (Registration(0), Transfer(0));
    for (sequence, rref) in (0..).zip(ids(mine.id())) {
        let msgs = [
            Msg::Release { rref },
            Msg::Abort { rref },
            Msg::Registered { rref, id: registration },
            Msg::NotCreated { rref, id: registration },
            Msg::Gone { rref, id: registration },
            Msg::Aborted { rref },
            Msg::Adopted { transfer },
            Msg::Revoke { transfer },
        ];
        for to in [0, 1] {
            assert_eq!(send_batch(&refs, 2, to, sequence, &msgs).await, Outcome::Ok);
        }
    }
    all_is_well(&refs, &at_1, 0).await;
    assert!(at_1.confirmed_by_owner());
    drop((mine, at_1));
    refs.kill(2);
    refs.assert_empty().await;
}

/// Ids are numbers in order, and the owner does not know who passes its handles on to whom. So it lists
/// whoever registers.
#[tokio::test(start_paused = true)]
#[ignore = "an id that is guessed right can be registered for: ids are no secrets"]
async fn a_guessed_id_reaches_nothing() {
    let (refs, mine, at_1) = victim().await;
    let msg = Msg::Register { rref: mine.id(), id: Registration(0) };
    assert_eq!(send_batch(&refs, 2, 0, 0, &[msg]).await, Outcome::Ok);
    refused(&refs, 0, request(FETCH, 0, &(), &FetchAside { rref: mine.id(), nested: false })).await;
    let aside = MethodAside { rref: mine.id(), nested: false, handles: Vec::new() };
    refused(&refs, 0, request(METHOD, method_id("Counter::add"), &(5_u64,), &aside)).await;
    drop((mine, at_1));
    refs.kill(2);
    refs.assert_empty().await;
}

/// Who registers with an owner for a value that it knows of is listed, as if somebody had passed it on.
/// What others have stays theirs.
#[tokio::test(start_paused = true)]
async fn a_forged_registration_takes_nothing_from_others() {
    let (refs, mine, at_1) = victim().await;
    let msgs: Vec<Msg> =
        ids(mine.id()).into_iter().map(|rref| Msg::Register { rref, id: Registration(3) }).collect();
    assert_eq!(send_batch(&refs, 2, 0, 0, &msgs).await, Outcome::Ok);
    assert_eq!(send_batch(&refs, 2, 0, 1, &msgs).await, Outcome::Ok);
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.kill(2);
    refs.assert_empty().await;
}

#[tokio::test(start_paused = true)]
async fn garbage_instead_of_an_aside_is_an_error_of_the_arguments() {
    let (refs, mine, at_1) = victim().await;
    let garbage: [&[u8]; 6] = [
        &[],
        &[0xff],
        &[0xff; 40],
        b"garbage",
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
        &[0; 3],
    ];
    let methods = [
        (CREATE, function_id(tracked)),
        (FETCH, 0),
        (METHOD, method_id("Counter::value")),
        (CREATE_BY_METHOD, method_id("Counter::value")),
    ];
    for (kind, method) in methods {
        for aside in garbage {
            refused(&refs, 0, raw_request(kind, method, &[1, 2, 3], aside)).await;
        }
        // Without the flag there is none.
        let mut plain = raw_request(kind, method, &[1, 2, 3], &[]);
        plain.codec &= !rpc_core::aside::FLAG;
        refused(&refs, 0, plain).await.unwrap();
        // The flag, and a length that reaches too far.
        let mut short = raw_request(kind, method, &[], &[]);
        short.body = rpc_core::Body::new(vec![1, 2, 3, 0xff, 0xff, 0xff, 0xff]);
        refused(&refs, 0, short).await.unwrap();
    }
    for aside in &garbage[1..5] {
        refused(&refs, 0, raw_request(CALL, function_id(keep), &[1, 0], aside)).await.unwrap();
    }
    for payload in &garbage[..5] {
        let body = rpc_core::Body::new(payload.to_vec());
        let kind = rpc_core::Kind(CONTROL);
        let request = Request { kind, method: 0, codec: 0, timeout: Some(ms(1_000)), body };
        refused(&refs, 0, request).await;
    }
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.kill(2);
    refs.assert_empty().await;
}

/// An aside that announces more handles than it has bytes, or has a million.
#[tokio::test(start_paused = true)]
async fn an_aside_of_many_handles_costs_what_it_brings() {
    let (refs, mine, at_1) = victim().await;
    let announces = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    refused(&refs, 0, raw_request(CALL, function_id(keep), &[1, 0], &announces)).await.unwrap();
    let same = Travelling(mine.id(), Transfer(0));
    let many = vec![same; 100_000];
    let request = request(CALL, function_id(keep), &(fresh(), 0_u32), &many);
    let _ = within(ms(1_100), refs.client(2).agent().send(id(0), request)).await;
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.kill(2);
    refs.assert_empty().await;
}

/// A worker that has a handle to a value of one type calls a method of another.
#[tokio::test(start_paused = true)]
async fn a_method_of_another_type_is_a_typed_error() {
    let refs = Refs::new(2).await;
    let (mine, value) = refs.own(0);
    let at_1 = refs.pass(0, 1, &mine).await;
    let aside = MethodAside { rref: at_1.id(), nested: false, handles: Vec::new() };
    for method in [method_id("Counter::add"), method_id("Counter::value")] {
        let response = send(&refs, 1, 0, request(METHOD, method, &(5_u64,), &aside)).await;
        assert_eq!(response.outcome, Outcome::Reference);
        let error: ReferenceError = postcard::from_bytes(&response.body.payload).unwrap();
        let ReferenceError::WrongType { expected, found, .. } = error else { panic!("{error}") };
        assert!(expected.contains("Counter") && found.contains("Tracked"), "{expected} {found}");
    }
    let unknown = send(&refs, 1, 0, request(METHOD, 12_345, &(), &aside)).await;
    assert_eq!(unknown.outcome, Outcome::UnknownFunction);
    assert_eq!(at_1.to_here().await.unwrap().ticket(), value);
    drop((mine, at_1));
    refs.assert_empty().await;
    gone(value).await;
}

/// Arguments of a method that cannot be read: it does not run, and the value is free.
#[tokio::test(start_paused = true)]
async fn arguments_of_a_method_that_cannot_be_read_give_the_value_free() {
    let (refs, mine, at_1) = victim().await;
    let aside = MethodAside { rref: at_1.id(), nested: false, handles: Vec::new() };
    let aside = postcard::to_stdvec(&aside).unwrap();
    for args in [&[][..], &[0xff; 20], &[1, 2, 3]] {
        let response = send(&refs, 1, 0, raw_request(METHOD, method_id("Counter::add"), args, &aside)).await;
        assert_eq!(response.outcome, Outcome::BadArguments);
    }
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// A codec that the owner does not have.
#[tokio::test(start_paused = true)]
async fn a_request_in_an_unknown_codec_is_refused_and_leaks_nothing() {
    let (refs, mine, at_1) = victim().await;
    let fetch = FetchAside { rref: at_1.id(), nested: false };
    let method = MethodAside { rref: at_1.id(), nested: false, handles: Vec::new() };
    for mut unknown in
        [request(FETCH, 0, &(), &fetch), request(METHOD, method_id("Counter::add"), &(1_u64,), &method)]
    {
        unknown.codec = 79 | rpc_core::aside::FLAG;
        assert_eq!(send(&refs, 1, 0, unknown).await.outcome, Outcome::UnknownCodec);
    }
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.assert_empty().await;
}

/// The chores of a worker are its own.
#[tokio::test(start_paused = true)]
async fn nobody_else_gives_a_worker_its_chores() {
    let (refs, mine, at_1) = victim().await;
    for method in [0, 1, 2] {
        let mut chore = raw_request(0x17, method, &[0; 12], &[]);
        chore.codec = 0;
        assert_eq!(refused(&refs, 0, chore).await.unwrap().outcome, Outcome::UnknownKind);
    }
    all_is_well(&refs, &at_1, 0).await;
    drop((mine, at_1));
    refs.assert_empty().await;
}
