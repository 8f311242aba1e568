//! How calls end, in a word or two.

use crate::error::Failure;
use crate::message::Outcome;

pub(super) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::HandlerError => "error",
        Outcome::Panicked => "panicked",
        Outcome::UnknownFunction => "unknown_function",
        Outcome::SignatureMismatch => "signature_mismatch",
        Outcome::BadArguments => "bad_arguments",
        Outcome::Overloaded => "overloaded",
        Outcome::DeadlineExceeded => "timed_out",
        Outcome::Cancelled => "cancelled",
        Outcome::ShuttingDown => "shut_down",
        Outcome::UnknownCodec => "unknown_codec",
        Outcome::UnknownKind => "unknown_kind",
        Outcome::BadResult => "bad_result",
        Outcome::Reference => "reference",
        Outcome::Denied => "denied",
    }
}

pub(super) fn failure_name(failure: &Failure) -> &'static str {
    match failure {
        Failure::UnknownWorker { .. } => "unknown_worker",
        Failure::UnknownFunction { .. } => "unknown_function",
        Failure::SignatureMismatch { .. } => "signature_mismatch",
        Failure::Encode { .. } => "encode",
        Failure::BadArguments { .. } => "bad_arguments",
        Failure::BadResult { .. } => "bad_result",
        Failure::BadReply { .. } => "bad_reply",
        Failure::UnknownCodec { .. } => "unknown_codec",
        Failure::UnknownKind => "unknown_kind",
        Failure::Panicked { .. } => "panicked",
        Failure::TimedOut { .. } => "timed_out",
        Failure::Cancelled { .. } => "cancelled",
        Failure::Unreachable { .. } => "unreachable",
        Failure::LinkLost { .. } => "link_lost",
        Failure::Departed => "departed",
        Failure::Overloaded { .. } => "overloaded",
        Failure::TooLarge { .. } => "too_large",
        Failure::ShutDown => "shut_down",
        Failure::Reference(_) => "reference",
        Failure::WouldBlock => "would_block",
        Failure::Denied { .. } => "denied",
        Failure::Future(_) => "future",
    }
}
