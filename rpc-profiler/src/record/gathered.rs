//! [`Gathered`]: what is done in a handler, for its caller.

use super::names::{Words, cut};
use super::notes::Nested;
use crate::model::{Call, MachineId, NameId, Span};

/// Bytes of a note that are spent on it. A note has at most 65,535, and a response with one has to stay within the limits
/// of its link.
const BYTES_MAX: usize = 48 << 10;
/// What a call takes of that at most: ten times, six small numbers, eleven of any size.
const CALL_BYTES_MAX: usize = 10 * 11 + 66;
const SPAN_BYTES_MAX: usize = 4 * 11 + 12;
const MACHINE_BYTES_MAX: usize = 2 * 5;

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

    pub(super) fn add_call(&mut self, call: &Call, words: &Words<'_>) {
        let Words { operation, function, outcome, error } = *words;
        self.add_named(call, [operation, function, outcome], error);
    }

    fn add_named(&mut self, call: &Call, names: [&str; 3], error: Option<&str>) {
        let [operation, function, outcome] = names;
        let has_room = match error {
            Some(error) => self.has_room(CALL_BYTES_MAX, &[operation, function, outcome, error]),
            None => self.has_room(CALL_BYTES_MAX, &names),
        };
        if !has_room {
            return;
        }
        let mut call = *call;
        call.operation = self.name(operation);
        call.function = self.name(function);
        call.outcome = self.name(outcome);
        call.error = error.map(|error| self.name(error));
        self.nested.calls.push(call);
    }

    /// Worker `rank` is on `machine`.
    pub(super) fn add_machine(&mut self, rank: u32, machine: Option<MachineId>) {
        let Some(machine) = machine.map(|machine| (rank, machine)) else { return };
        let has_room = !self.is_closed && self.bytes + MACHINE_BYTES_MAX <= BYTES_MAX;
        if has_room && !self.nested.machines.contains(&machine) {
            self.bytes += MACHINE_BYTES_MAX;
            self.nested.machines.push(machine);
        }
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
            let names = [name(call.operation), name(call.function), name(call.outcome)];
            self.add_named(call, names, call.error.map(name));
        }
        for span in &nested.spans {
            self.add_span(span, name(span.name));
        }
        for (rank, machine) in &nested.machines {
            self.add_machine(*rank, Some(*machine));
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
            let (function, error) = (format!("function {n}"), Some("no reply within 1 ms"));
            gathered.add_named(&call, ["rpc_async", &function, "timed_out"], error);
            gathered.add_machine(u32::MAX - n % 7, Some(MachineId::of(b"some machine")));
        }
        let nested = gathered.close().unwrap();
        assert_eq!(nested.calls.len() as u64 + nested.dropped, 5_000);
        assert!(nested.calls.len() > 100);
        let note = ResponseNote {
            arrived_unix_ns: u64::MAX,
            wait_ns: u64::MAX,
            run_ns: u64::MAX,
            machine: Some(MachineId::of(b"a machine")),
            gathered: Some(nested),
        };
        assert_eq!(note.gathered.as_ref().map(|nested| nested.machines.len()), Some(7), "each once");
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
