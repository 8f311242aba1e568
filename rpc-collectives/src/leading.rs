//! Who leads, and how a leader finds out why others do not come.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rpc_core::{CallError, Failure, Group, Never, WorkerId};
use tokio::time::sleep;

use crate::message::{WATCH, WRITTEN, Which, head};
use crate::proto::{Absence, Cause, Operation};
use crate::shared::Shared;

/// How long the leader waits before it asks. Members that come at about the same time, which is what most do, cost no
/// message beside their own.
const LOOK_AFTER: Duration = Duration::from_millis(100);
/// Before it asks again, when a link was lost.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The member with the smallest name.
pub(crate) fn leader_of(group: &Group, members: &[WorkerId]) -> Option<WorkerId> {
    let infos = members.iter().filter_map(|member| group.get(*member));
    infos.min_by(|a, b| a.info.name.cmp(&b.info.name)).map(|leader| leader.info.id)
}

/// Asks all members that have not come; fails the operation when one turns out not to come any more. Ends when all
/// have answered; dropped when the operation ends, which takes the questions back.
pub(crate) async fn look_for_missing(shared: &Arc<Shared>, operation: &Operation) {
    sleep(LOOK_AFTER).await;
    let missing = shared.missing(operation).unwrap_or_default();
    type Question<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
    let mut questions: Vec<Question<'_>> = Vec::new();
    for member in missing {
        questions.push(Box::pin(async move {
            if let Some(why) = absence(shared, operation, member).await {
                shared.fail(operation, Cause::Absent { member, why });
            }
        }));
    }
    // All are polled for each that has something new: it has once, and then this is over for most causes.
    poll_fn(|cx| {
        questions.retain_mut(|question| question.as_mut().poll(cx).is_pending());
        if questions.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Why `member` does not come any more; `None` if it could not say.
async fn absence(shared: &Shared, operation: &Operation, member: WorkerId) -> Option<Absence> {
    if member == shared.me() {
        shared.until_past(operation).await;
        return Some(Absence::Past);
    }
    // For as long as the operation is under way.
    let client = shared.client.with_timeout(Duration::ZERO);
    loop {
        let which = Which { operation: std::borrow::Cow::Borrowed(operation) };
        let head = head(WATCH, "watch");
        let asked = WRITTEN.run(|| client.request::<(), Never, _>(member, head, &which, |_| Ok(None)));
        match asked.cancel_on_drop().await {
            Ok(()) => return Some(Absence::Past),
            Err(CallError::Failed { failure, .. }) => match failure {
                Failure::LinkLost { .. } => sleep(AGAIN_AFTER).await,
                Failure::Unreachable { cause, .. } => return Some(Absence::Died { reason: cause }),
                Failure::Departed => return Some(Absence::Departed),
                Failure::UnknownKind => return Some(Absence::NotServed),
                _ => return None,
            },
            Err(_) => return None,
        }
    }
}
