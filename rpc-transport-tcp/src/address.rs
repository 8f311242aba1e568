//! The address that a worker publishes: `host:port`, and where on its own machine it can be reached as well.
//!
//! ```text
//! 127.0.0.1:41234+local:0d9f…e1.4026531840:5f3c…a7
//! └─ host:port ─┘       └─── machine ────┘ └ name ┘
//! ```
//! Who is elsewhere, or has the local way switched off, uses what is before the plus.

/// Stands between `host:port` and the local place.
const MARK: &str = "+local:";
/// Digits of a name: 128 random bits.
const NAME_DIGITS: usize = 32;

/// A published address, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) host_and_port: &'a str,
    pub(crate) local: Option<Place<'a>>,
}

/// Where on one machine a worker listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// Equal to a process's own if a name means the same to both.
    pub(crate) machine: &'a str,
    /// The socket's own part of its name.
    pub(crate) name: &'a str,
}

impl<'a> Address<'a> {
    /// Takes `text` apart. A local place that is not well formed is as good as none: it comes from another version.
    pub(crate) fn parse(text: &'a str) -> Self {
        let Some((host_and_port, place)) = text.split_once(MARK) else {
            return Self { host_and_port: text, local: None };
        };
        let local = place.split_once(':').map(|(machine, name)| Place { machine, name });
        Self { host_and_port, local: local.filter(Place::is_well_formed) }
    }
}

impl Place<'_> {
    fn is_well_formed(&self) -> bool {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        self.name.len() == NAME_DIGITS && self.name.bytes().all(is_digit)
    }
}

impl std::fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.host_and_port)?;
        match &self.local {
            Some(Place { machine, name }) => write!(f, "{MARK}{machine}:{name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_is_published_is_what_is_read() {
        for local in [None, Some(Place { machine: "boot.1", name: NAME })] {
            for host_and_port in ["127.0.0.1:80", "[fd00::1]:80", "node7:80"] {
                let address = Address { host_and_port, local };
                assert_eq!(Address::parse(&address.to_string()), address);
            }
        }
    }

    #[test]
    fn a_place_that_is_not_well_formed_is_none() {
        let long = NAME.repeat(100);
        for place in [
            "",
            ":",
            "boot.1",
            "boot.1:",
            "boot.1:xyz",
            &format!("boot.1:{long}"),
            &format!("boot.1:{NAME}:"),
        ] {
            let text = format!("node7:80{MARK}{place}");
            assert_eq!(Address::parse(&text), Address { host_and_port: "node7:80", local: None }, "{text}");
        }
    }
}
