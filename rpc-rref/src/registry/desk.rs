//! Handles in messages: shared with the receiver as they leave, received as they arrive.

use std::sync::{Arc, Weak};

use rpc_core::handles::{AnyHandle, HandleDesk, SentHandles};
use rpc_core::{BoxFuture, CodecError, Failure, HandlerRan, ReferenceError, WorkerId};
use serde::{Deserialize, Serialize};

use super::fetch::NEVER_ASKED;
use super::state::Phase;
use super::wait::{Key, Waiter};
use super::{Place, Registry, State, encoded};
use crate::handle::{DeadHandle, Handle};
use crate::proto::{RRefId, Transfer, Why};

/// A handle in an aside.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Travelling {
    rref: RRefId,
    transfer: Transfer,
}

impl Registry {
    /// Shares `handles` with `to`. All or none.
    ///
    /// # Errors
    /// The first of them that cannot travel.
    pub(crate) fn share(
        &self,
        to: WorkerId,
        answer_on: Option<u32>,
        handles: &[AnyHandle],
    ) -> Result<(Vec<Travelling>, SharedHandles), ReferenceError> {
        if handles.is_empty() {
            return Ok((Vec::new(), SharedHandles::none()));
        }
        let mut rrefs = Vec::with_capacity(handles.len());
        for handle in handles {
            let handle: &Handle = (**handle).downcast_ref().ok_or(ReferenceError::NoRegistry)?;
            if !handle.is_of(self) {
                return Err(ReferenceError::Foreign { rref: handle.rref().to_string() });
            }
            rrefs.push(handle.rref());
        }
        let travelling = self.change(|state| {
            for rref in &rrefs {
                if let Some(error) = self.reference_error(state, *rref) {
                    return Err(error);
                }
            }
            state.met.insert(to);
            let mut share = |rref: &RRefId| {
                let shared = state.table.share(*rref, to, answer_on);
                // Whether they are of use has been asked; what is left is that there are too many.
                let transfer = shared.map_err(|_| ReferenceError::TooMany { to: self.describe(to) })?;
                Ok(Travelling { rref: *rref, transfer })
            };
            let mut shared = Vec::with_capacity(rrefs.len());
            for rref in &rrefs {
                match share(rref) {
                    Ok(travelling) => shared.push(travelling),
                    Err(error) => {
                        for Travelling { transfer, .. } in &shared {
                            state.table.transfer_lost(to, *transfer);
                        }
                        return Err(error);
                    }
                }
            }
            Ok(shared)
        })?;
        let transfers = travelling.iter().map(|handle| handle.transfer).collect();
        Ok((travelling, SharedHandles { registry: self.own().clone(), to, transfers }))
    }

    /// Takes what has come from `from`, at `place`.
    pub(crate) fn accept(
        &self,
        from: WorkerId,
        travelling: &[Travelling],
        place: &'static str,
    ) -> Vec<AnyHandle> {
        if travelling.is_empty() {
            return Vec::new();
        }
        self.change(|state| {
            if state.phase == Phase::Closed {
                return travelling
                    .iter()
                    .map(|handle| Arc::new(DeadHandle(handle.rref)) as AnyHandle)
                    .collect();
            }
            state.met.insert(from);
            let mut accept = |handle: &Travelling| -> AnyHandle {
                let Travelling { rref, transfer } = *handle;
                match state.table.receive(from, rref, transfer) {
                    Ok(true) => {
                        state.watch_creator(rref);
                        self.handle(state, rref, Place::In(place))
                    }
                    Ok(false) => Arc::new(DeadHandle(rref)),
                    Err(violation) => {
                        tracing::warn!(%from, "refused a reference: {violation}");
                        Arc::new(DeadHandle(rref))
                    }
                }
            };
            travelling.iter().map(&mut accept).collect()
        })
    }

    /// Whether a request about `rref` may be the first that tells this worker that the value is there.
    ///
    /// # Errors
    /// The handles to it on this worker are of no use.
    pub(crate) fn usable(&self, state: &State, rref: RRefId) -> Result<bool, ReferenceError> {
        match self.reference_error(state, rref) {
            None => Ok(state.table.is_creating(rref)),
            Some(error) => Err(error),
        }
    }

    /// Why the handles to `rref` on this worker are of no use, if they are.
    pub(crate) fn reference_error(&self, state: &State, rref: RRefId) -> Option<ReferenceError> {
        // Asked before each use, so the texts wait until there is an error.
        let text = || rref.to_string();
        let owner_lost = || {
            let owner = self.describe(rref.owner);
            ReferenceError::OwnerLost { rref: text(), owner, ran: HandlerRan::No }
        };
        if state.phase == Phase::Closed {
            return Some(ReferenceError::ShutDown { rref: text() });
        }
        if rref.owner != self.me() && state.dead.contains(&rref.owner) {
            return Some(owner_lost());
        }
        Some(match state.table.failure(rref)? {
            Why::OwnerLost => owner_lost(),
            Why::SenderLost => ReferenceError::SenderLost { rref: text() },
            Why::NotCreated => ReferenceError::NotCreated {
                rref: text(),
                reason: match state.table.used(rref).and_then(|used| used.reason.as_deref()) {
                    Some(reason) => reason.clone(),
                    None => NEVER_ASKED.into(),
                },
            },
        })
    }
}

impl HandleDesk for Registry {
    fn send(
        &self,
        to: WorkerId,
        answer_on: Option<u32>,
        handles: Vec<AnyHandle>,
    ) -> Result<(Vec<u8>, Box<dyn SentHandles>), ReferenceError> {
        let (travelling, sent) = self.share(to, answer_on, &handles)?;
        Ok((encoded(&travelling), Box::new(sent)))
    }

    fn receive(
        &self,
        from: WorkerId,
        aside: &[u8],
        place: &'static str,
    ) -> Result<Vec<AnyHandle>, CodecError> {
        let travelling: Vec<Travelling> =
            postcard::from_bytes(aside).map_err(|error| CodecError::new("references", error))?;
        Ok(self.accept(from, &travelling, place))
    }

    fn confirmed(&self, handles: &[AnyHandle]) -> Option<BoxFuture<'static, Result<(), ReferenceError>>> {
        let mut waiting = Vec::new();
        for handle in handles {
            if let Some(DeadHandle(rref)) = (**handle).downcast_ref() {
                let error = ReferenceError::TakenBack { rref: rref.to_string() };
                return Some(Box::pin(std::future::ready(Err(error))));
            }
            if let Some(handle) = (**handle).downcast_ref::<Handle>() {
                waiting.push(handle.rref());
            }
        }
        self.read(|state| waiting.retain(|rref| !state.table.is_confirmed(*rref)));
        if waiting.is_empty() {
            return None;
        }
        let registry = self.own().upgrade()?;
        Some(Box::pin(async move {
            for rref in waiting {
                let at = Arc::clone(&registry);
                let check = move |state: &mut State| match at.reference_error(state, rref) {
                    Some(error) => Some(Err(error)),
                    None => state.table.is_confirmed(rref).then_some(Ok(())),
                };
                Waiter::new(Arc::clone(&registry), Key::Value(rref), check).await?;
            }
            Ok(())
        }))
    }
}

/// Handles on their way.
pub(crate) struct SharedHandles {
    registry: Weak<Registry>,
    to: WorkerId,
    transfers: Vec<Transfer>,
}

impl SharedHandles {
    fn none() -> Self {
        Self { registry: Weak::new(), to: WorkerId(0), transfers: Vec::new() }
    }

    pub(crate) fn take_back(&self) {
        if self.transfers.is_empty() {
            return;
        }
        if let Some(registry) = self.registry.upgrade() {
            registry.change(|state| {
                for transfer in &self.transfers {
                    state.table.transfer_lost(self.to, *transfer);
                }
            });
        }
    }
}

impl SentHandles for SharedHandles {
    fn lost(self: Box<Self>, _why: &Failure) {
        self.take_back();
    }
}
