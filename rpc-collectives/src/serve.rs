//! What a worker is asked by members and leaders.

use std::sync::{Arc, Weak};

use rpc_core::{Handler, Incoming, Outcome, Request, Response, Served, Serving, WorkerId};
use tokio::time::sleep;

use crate::error::CollectiveError;
use crate::leading;
use crate::message::{JOIN, Join, Joined, LEAVE, WATCH, Which, from_us};
use crate::proto::{Cause, Operation, What};
use crate::shared::{Joining, Shared, Values};

/// Serves [`KIND`](crate::message::KIND).
pub(crate) struct CollectiveHandler(Weak<Shared>);

impl CollectiveHandler {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }
}

impl Handler for CollectiveHandler {
    fn handle(&self, incoming: Incoming) -> Served {
        let Some(shared) = self.0.upgrade() else {
            // Whoever started them has let go of them, and the agent lives on.
            return Served::Now(Response::failed(Outcome::UnknownKind, &[]));
        };
        let observers = Arc::clone(shared.client.observers());
        // Its name stands in the message, and is read for those only who want to know.
        match observers.want(&incoming).then(|| name_of(&incoming.request)) {
            Some(Some(name)) => observers.serve(incoming, name, |incoming| serve(shared, incoming)),
            _ => serve(shared, incoming),
        }
    }
}

/// What a request is called, as its sender calls it; `None` for one that is none of ours.
fn name_of(request: &Request) -> Option<&'static str> {
    // What the message begins with, whichever of the two it is.
    type Begin = (u64, What);
    match request.method {
        JOIN => {
            let begin = postcard::take_from_bytes::<Begin>(&request.body.payload);
            begin.ok().map(|((_count, what), _)| what.name())
        }
        LEAVE => Some("leave"),
        WATCH => Some("watch"),
        _ => None,
    }
}

fn serve(shared: Arc<Shared>, incoming: Incoming) -> Served {
    let method = incoming.request.method;
    let context = incoming.context.clone().with_host(shared.host());
    let codecs = Arc::clone(shared.client.codecs());
    let serving = match Serving::new(Incoming { context, ..incoming }, codecs, "all_gather") {
        Ok(serving) => serving,
        Err(response) => return Served::Now(response),
    };
    match method {
        JOIN => {
            Served::Later(Box::pin(async move { join(&shared, serving).await.unwrap_or_else(|bad| bad) }))
        }
        LEAVE => Served::Now(leave(&shared, serving).unwrap_or_else(|bad| bad)),
        WATCH => {
            Served::Later(Box::pin(async move { watch(&shared, serving).await.unwrap_or_else(|bad| bad) }))
        }
        _ => Served::Now(Response::failed(Outcome::UnknownKind, &[])),
    }
}

/// Answers when the operation has ended. Dropped when the member cancels; what it gave stays, and it says for itself
/// whether it gives up.
async fn join(shared: &Arc<Shared>, mut serving: Serving) -> Result<Response, Response> {
    if let Some(confirmed) = serving.confirmed() {
        confirmed.await.map_err(|error| Response::reference(&error))?;
    }
    let from = serving.from();
    let Join { operation, wait_us, item } = serving.decode()?;
    let operation = led(shared, operation.into_owned(), from)?;
    let joining = shared.join(&operation, from, item.map(std::borrow::Cow::into_owned));
    let (mut end, looking) = match joining {
        Joining::Known(result) => return Ok(answer(&serving, result)),
        Joining::Waits { end, looking } => (end, looking),
    };
    let wait = from_us(wait_us);
    let expired = async {
        match wait {
            Some(wait) => sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    // One of those who wait asks where the others are. If its request ends, because its link is lost, the next one does.
    let looked_for = async {
        let _looks = looking.lock().await;
        leading::look_for_missing(shared, &operation).await;
        std::future::pending::<()>().await;
    };
    let told = tokio::select! {
        biased;
        told = &mut end => told,
        () = expired => {
            let after = wait.unwrap_or_default();
            shared.fail(&operation, Cause::TimedOut { member: from, after });
            end.await
        }
        () = looked_for => end.await,
    };
    let result = match told {
        Ok(end) => shared.outcome(&operation, end),
        // Whoever is told of an end is told before it is forgotten.
        Err(_) => return Err(Response::failed(Outcome::ShuttingDown, &[])),
    };
    Ok(answer(&serving, result))
}

fn answer(serving: &Serving, result: Result<Values, CollectiveError>) -> Response {
    let items = result.as_ref().map(|values| {
        let given = values.iter().filter_map(|(_, given)| given.as_ref());
        Joined { items: given.map(std::borrow::Cow::Borrowed).collect() }
    });
    serving.respond(items)
}

fn leave(shared: &Arc<Shared>, mut serving: Serving) -> Result<Response, Response> {
    let from = serving.from();
    let Which { operation } = serving.decode()?;
    let operation = led(shared, operation.into_owned(), from)?;
    shared.fail(&operation, Cause::GaveUp { member: from });
    Ok(done(&serving))
}

/// Answers when this worker's program is past the operation.
async fn watch(shared: &Arc<Shared>, mut serving: Serving) -> Result<Response, Response> {
    let Which { operation } = serving.decode()?;
    let operation: Operation = operation.into_owned();
    let Some(_watching) = shared.count_watch() else {
        let limit = crate::proto::limits::WATCHES_MAX.to_string();
        return Err(Response::failed(Outcome::Overloaded, &["watches", &limit]));
    };
    shared.until_past(&operation).await;
    Ok(done(&serving))
}

fn done(serving: &Serving) -> Response {
    serving.respond::<(), ()>(Ok(()))
}

/// `operation`, if `from` takes part in it and this worker is its leader.
fn led(shared: &Shared, operation: Operation, from: WorkerId) -> Result<Operation, Response> {
    let line = &operation.line;
    let wrong = |why: &str| Err(Response::failed(Outcome::BadArguments, &[why]));
    if !line.is_valid()
        || line.members.iter().any(|member| shared.client.agent().group().get(*member).is_none())
    {
        return wrong("no team of this group");
    }
    if !line.has(from) {
        return wrong("the sender is not a member");
    }
    if leading::leader_of(shared.client.agent().group(), &line.members) != Some(shared.me()) {
        return wrong("this worker is not the leader");
    }
    Ok(operation)
}
