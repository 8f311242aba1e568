//! Durations as people read them.

use std::time::Duration;

/// `after` without the digits that tell nobody anything: tenths from a second on, whole milliseconds below.
pub(crate) fn rounded(after: Duration) -> Duration {
    let step_ms = if after < Duration::from_millis(950) { 1 } else { 100 };
    let steps = (after.as_micros() + step_ms * 500) / (step_ms * 1000);
    Duration::from_millis(u64::try_from(steps * step_ms).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_in_tenths_of_a_second_or_in_milliseconds() {
        let cases = [
            (9_999_625_943, "10s"),
            (300_000_000_000, "300s"),
            (1_249_000_000, "1.2s"),
            (999_700_000, "1s"),
            (99_999_999, "100ms"),
            (4_400_000, "4ms"),
            (0, "0ns"),
        ];
        for (ns, text) in cases {
            assert_eq!(format!("{:?}", rounded(Duration::from_nanos(ns))), text);
        }
    }
}
