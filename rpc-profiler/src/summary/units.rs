//! Times, sizes and shares as people read them.

/// `412 ns`, `12.345 µs`, `1.234 ms`, `1.234 s`; what is beyond three places is left out.
pub(super) fn time(ns: u64) -> String {
    let (unit_ns, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    format!("{}.{:03} {unit}", ns / unit_ns, ns % unit_ns / (unit_ns / 1_000))
}

/// `64 B`, `1.5 KiB`, `12.0 MiB`; what is beyond one place is left out.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let power = bytes.ilog2() / 10;
    let unit = 1_u128 << (10 * power);
    let tenths = u128::from(bytes) * 10 / unit;
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[power as usize - 1])
}

/// `12.5 %`.
pub(super) fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_largest_unit_of_which_there_is_one() {
        let texts =
            [0, 999, 1_000, 12_345, 999_999, 1_000_000, 999_999_999, 1_000_000_000, 61_234_567_890].map(time);
        let expected = [
            "0 ns",
            "999 ns",
            "1.000 µs",
            "12.345 µs",
            "999.999 µs",
            "1.000 ms",
            "999.999 ms",
            "1.000 s",
            "61.234 s",
        ];
        assert_eq!(texts, expected);
        assert_eq!(time(u64::MAX), "18446744073.709 s");
    }

    #[test]
    fn sizes_have_the_largest_unit_of_which_there_is_one() {
        let texts = [0, 1_023, 1_024, 1_536, (1 << 20) - 1, 1 << 20, u64::MAX].map(size);
        assert_eq!(texts, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "1.0 MiB", "15.9 EiB"]);
    }
}
