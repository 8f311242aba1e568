//! A profile as JSON, for one's own tools: its fields under their names, in the order in which they are declared.

use std::io;

use crate::model::Profile;

impl Profile {
    /// Writes the profile as JSON, which [`read_json`](Self::read_json) and other programs read. About 400 bytes a call;
    /// writes small pieces, so give a file through a [`BufWriter`](io::BufWriter).
    ///
    /// # Errors
    /// Those of `out`.
    ///
    /// ```
    /// # use rpc_profiler::model::Tick;
    /// # use rpc_profiler::Profile;
    /// # let profile = Profile::new(0, Tick::from_unix_ns(1), Tick::from_unix_ns(2));
    /// let mut json = Vec::new();
    /// profile.write_json(&mut json)?;
    /// assert_eq!(Profile::read_json(json.as_slice())?, profile);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn write_json(&self, out: impl io::Write) -> io::Result<()> {
        Ok(serde_json::to_writer(out, self)?)
    }

    /// Reads what [`write_json`](Self::write_json) has written. It may come from anywhere: all that is made of a profile takes
    /// any.
    ///
    /// # Errors
    /// Those of `input`, and [`InvalidData`](io::ErrorKind::InvalidData) or [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if
    /// it is no profile.
    pub fn read_json(input: impl io::Read) -> io::Result<Self> {
        Ok(serde_json::from_reader(io::BufReader::new(input))?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{any_profile, profile, whole_call};

    /// Tools read this: what changes here breaks them.
    #[test]
    fn the_form_is_pinned() {
        let mut profile = profile(1);
        profile.names.truncate(1);
        profile.calls = vec![whole_call(7, Some(5), 0, 1, 0)];
        profile.calls[0].times.written = None;
        let mut json = Vec::new();
        profile.write_json(&mut json).unwrap();
        let expected = concat!(
            r#"{"home":0,"began":1000000,"ended":1001000,"#,
            r#""workers":[{"rank":0,"name":"worker0","clock":{"offset_ns":0,"error_ns":0},"machine":null}],"names":["rpc_async"],"#,
            r#""calls":[{"id":"0000000000000007","parent":"0000000000000005","from":0,"to":1,"operation":0,"function":1,"outcome":3,"error":null,"depth":0,"#,
            r#""request":{"bytes":0,"parts":0},"response":{"bytes":0,"parts":0},"#,
            r#""times":{"began":1000000,"encoded":1000001,"written":null,"arrived":1000006,"ran":1000010,"#,
            r#""replied":1000015,"answered":1000021,"decoded":1000028}}],"spans":[],"dropped":0,"under_way":0}"#,
        );
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }

    #[test]
    fn what_is_no_profile_is_an_error() {
        let kind = |json: &str| Profile::read_json(json.as_bytes()).map_err(|error| error.kind());
        assert_eq!(kind("{\"home\":0"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(kind("{\"home\":-1}"), Err(io::ErrorKind::InvalidData));
        assert_eq!(kind("{\"home\":0,\"began\":0}"), Err(io::ErrorKind::InvalidData));
    }

    proptest! {
        #[test]
        fn any_profile_comes_back_as_it_was(profile in any_profile()) {
            let mut json = Vec::new();
            profile.write_json(&mut json).unwrap();
            prop_assert_eq!(Profile::read_json(json.as_slice()).unwrap(), profile);
        }
    }
}
