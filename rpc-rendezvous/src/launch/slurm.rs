//! SLURM's notation for lists of hosts.

/// The first host of a list such as `node[01-03,7],other`: `node01`. `None` if it is not such a list.
pub(crate) fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list.trim();
    loop {
        let end = rest.find([',', '[', ']']).unwrap_or(rest.len());
        host.push_str(&rest[..end]);
        rest = &rest[end..];
        match rest.chars().next() {
            Some('[') => {
                let (numbers, after) = rest[1..].split_once(']')?;
                host.push_str(first_number(numbers)?);
                rest = after;
            }
            Some(']') => return None,
            _ => break,
        }
    }
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    (!host.is_empty() && host.chars().all(named)).then_some(host)
}

/// The first number of `01-03,7` with its leading zeros: `01`.
fn first_number(numbers: &str) -> Option<&str> {
    let first = numbers.split(',').next()?;
    let (low, high) = first.split_once('-').unwrap_or((first, first));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(low) && is_number(high)).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::first_host;

    #[test]
    fn the_first_host_is_found_in_every_form_of_a_list() {
        for (list, first) in [
            ("node7", "node7"),
            ("node[01-03,7],other", "node01"),
            ("node[7,1-3]", "node7"),
            ("a,b[1-2]", "a"),
            ("rack[2-3]node[004-009]-ib,x", "rack2node004-ib"),
            ("10.0.0.[5-6]", "10.0.0.5"),
        ] {
            assert_eq!(first_host(list).as_deref(), Some(first), "{list}");
        }
    }

    #[test]
    fn what_is_no_list_has_no_first_host() {
        for list in ["", ",", "[", "node[", "node[]", "node]", "node[a-b]", "node[1-]", "node[-1]", "no de"] {
            assert_eq!(first_host(list), None, "{list}");
        }
    }
}
