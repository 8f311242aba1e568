//! [`Gathered`]: what is done in a handler, for its caller.

use super::names::NAME_BYTES_MAX;
use super::notes::Nested;
use crate::model::{Call, NameId, Span};

/// Bytes of a note that are spent on it. A note has at most 65,535, and a response with one has to stay within the limits
/// of its link.
const BYTES_MAX: usize = 48 << 10;
/// What a call takes of that at most: ten times, five small numbers, eleven of any size.
const CALL_BYTES_MAX: usize = 10 * 11 + 60;
const SPAN_BYTES_MAX: usize = 4 * 11 + 12;

/// Grows while the handler runs, and is closed with its response.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    nested: Nested,
    bytes: usize,
    is_closed: bool,
}

impl Gathered {
    /// Takes what there is; what comes later is late.
    pub(super) fn close(&mut self) -> Option<Box<Nested>> {
        self.is_closed = true;
        let nested = std::mem::take(&mut self.nested);
        let is_empty = nested.calls.is_empty() && nested.spans.is_empty() && nested.dropped == 0;
        (!is_empty).then(|| Box::new(nested))
    }

    pub(super) fn add_call(&mut self, call: &Call, operation: &str, function: &str, outcome: &str) {
        if !self.has_room(CALL_BYTES_MAX, &[operation, function, outcome]) {
            return;
        }
        let mut call = *call;
        call.operation = self.name(operation);
        call.function = self.name(function);
        call.outcome = self.name(outcome);
        self.nested.calls.push(call);
    }

    pub(super) fn add_span(&mut self, span: &Span, name: &str) {
        if !self.has_room(SPAN_BYTES_MAX, &[name]) {
            return;
        }
        let name = self.name(name);
        self.nested.spans.push(Span { name, ..*span });
    }

    /// Adds what has come back from a call that the handler made.
    pub(super) fn add(&mut self, nested: &Nested) {
        let name = |id: NameId| nested.names.get(id.0 as usize).map_or("?", String::as_str);
        for call in &nested.calls {
            self.add_call(call, name(call.operation), name(call.function), name(call.outcome));
        }
        for span in &nested.spans {
            self.add_span(span, name(span.name));
        }
        self.nested.dropped = self.nested.dropped.saturating_add(nested.dropped);
    }

    fn has_room(&mut self, bytes: usize, names: &[&str]) -> bool {
        let is_new = |name: &&&str| !self.nested.names.iter().any(|known| known == cut(name));
        let new: usize = names.iter().filter(is_new).map(|name| cut(name).len() + 2).sum();
        let has_room = !self.is_closed && self.bytes + bytes + new <= BYTES_MAX;
        match has_room {
            true => self.bytes += bytes + new,
            false => self.nested.dropped = self.nested.dropped.saturating_add(1),
        }
        has_room
    }

    fn name(&mut self, name: &str) -> NameId {
        let (name, names) = (cut(name), &mut self.nested.names);
        let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        });
        NameId(at as u32) // a name takes two bytes of a few thousand
    }
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CallTimes, SpanId, Tick, Traffic};
    use crate::record::notes::{self, ResponseNote};

    /// PR-2.
    #[test]
    fn pr2_what_is_gathered_fits_into_a_note_and_the_rest_is_counted() {
        let tick = Some(Tick::from_unix_ns(u64::MAX));
        let mut call = Call::new(SpanId(u64::MAX), u32::MAX, u32::MAX, NameId(0), NameId(0), NameId(0));
        (call.parent, call.depth) = (Some(SpanId(u64::MAX)), u16::MAX);
        (call.request, call.response) =
            (Traffic { bytes: u64::MAX, parts: u16::MAX }, Traffic { bytes: u64::MAX, parts: u16::MAX });
        let mut times = CallTimes::default();
        for time in [
            &mut times.began,
            &mut times.encoded,
            &mut times.written,
            &mut times.arrived,
            &mut times.ran,
            &mut times.replied,
            &mut times.answered,
            &mut times.decoded,
        ] {
            *time = tick;
        }
        call.times = times;
        let mut gathered = Gathered::default();
        for n in 0..5_000 {
            gathered.add_call(&call, "rpc_async", &format!("function {n}"), "ok");
        }
        let nested = gathered.close().unwrap();
        assert_eq!(nested.calls.len() as u64 + nested.dropped, 5_000);
        assert!(nested.calls.len() > 100);
        let note = ResponseNote {
            arrived_unix_ns: u64::MAX,
            wait_ns: u64::MAX,
            run_ns: u64::MAX,
            gathered: Some(nested),
        };
        let mut bytes = Vec::new();
        notes::write(&note, &mut bytes);
        assert!(bytes.len() <= usize::from(u16::MAX), "{} bytes", bytes.len());
        assert_eq!(notes::read(&bytes), Some(note));
    }

    #[test]
    fn what_is_late_is_left_out() {
        let mut gathered = Gathered::default();
        assert!(gathered.close().is_none());
        let tick = Tick::from_unix_ns(1);
        gathered.add_span(&Span::new(SpanId(1), 0, NameId(0), tick, tick), "late");
        assert!(gathered.close().is_some_and(|nested| nested.spans.is_empty() && nested.dropped == 1));
    }
}
