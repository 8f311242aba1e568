//! The bytes that a store's client and server exchange, without I/O.
//!
//! ```text
//! client hello = "RPCSTORE" version(u16)
//! server hello = "RPCSTORE" version(u16) status(u8) instance(16) key(u64) connections(u32)
//! status       = 0 welcome | 1 full | 2 token missing | 3 token unexpected | 4 TLS expected
//! frame        = body_bytes(u32) body                    numbers are little-endian
//! request      = 1 key value                             set
//!              | 2 key                                   get
//!              | 3 timeout_ms(u64) keys                  wait
//!              | 4 key delta(i64)                        add
//!              | 5 key 0 value | 5 key 1 value value     compare_set: without, with an expected value
//!              | 6 key                                   delete
//! reply        = 1                                       done
//!              | 2                                       no value
//!              | 3 value
//!              | 4 values
//!              | 5 sum(i64)
//!              | 6 0 | 6 1                               deleted: no, yes
//!              | 7 keys                                  timed out; the keys without a value
//!              | 8 key                                   not a number
//!              | 9 bound(text) limit(u64)                a bound is reached
//! key, text    = bytes(u16) utf-8        keys   = count(u32) key*
//! value        = bytes(u32) bytes        values = count(u32) value*
//! ```
//!
//! One request is under way on a connection at a time, and its reply follows before the next request.
//! `instance` is drawn when a server starts, so that a client notices that another one has taken its place;
//! `key` tells the stores of different jobs apart where a client has to search (see `open::beside`);
//! `connections` is the bound that a full server names.
//!
//! With a token or with certificates all of this comes after the token exchange, or inside of TLS (`access`,
//! `guard`). The statuses from 2 on are said before that, to clients that come with something else, and tell
//! nothing more: the other fields are 0.
//!
//! Decoding copies no more than the bytes that it is given, and a count is believed only as far as bytes
//! follow it. An element of a list costs a header and an allocation beside its bytes, which is many times its
//! size if it is short, so lists are bounded by their length too: [`LIST_LEN_MAX`], and in a request the number
//! of keys that the server takes.

use rpc_core::{Denial, StoreError};

pub(crate) const MAGIC: &[u8; 8] = b"RPCSTORE";
pub(crate) const VERSION: u16 = 1;
pub(crate) const CLIENT_HELLO_BYTES: usize = 10;
pub(crate) const SERVER_HELLO_BYTES: usize = 39;

/// Longest request: a value of 1 MiB, or a wait for 4,096 keys of 250 bytes, and some.
pub(crate) const REQUEST_BYTES_MAX: usize = 2 << 20;
/// Longest reply: the values of a wait, at most [`StoreLimits::reply_bytes`](crate::StoreLimits).
pub(crate) const REPLY_BYTES_MAX: usize = 8 << 20;

/// Longest list of keys or values. A job has fewer workers than this, and waits for a key of each at most.
pub(crate) const LIST_LEN_MAX: usize = 64 << 10;

/// The kind of request that can take long.
const WAIT: u8 = 3;

/// Draws the line between two servers at one address.
pub(crate) type Instance = [u8; 16];

pub(crate) fn client_hello() -> [u8; CLIENT_HELLO_BYTES] {
    let mut hello = [0; CLIENT_HELLO_BYTES];
    hello[..8].copy_from_slice(MAGIC);
    hello[8..].copy_from_slice(&VERSION.to_le_bytes());
    hello
}

/// Whether these are the first bytes of a client of this version.
pub(crate) fn is_client_hello(bytes: &[u8; CLIENT_HELLO_BYTES]) -> bool {
    *bytes == client_hello()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello {
    pub(crate) status: Status,
    pub(crate) instance: Instance,
    pub(crate) key: u64,
    pub(crate) connections: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Welcome,
    /// The server has as many connections as it takes.
    Full,
    /// It asks for a token.
    TokenMissing,
    /// It asks for none.
    TokenUnexpected,
    /// It takes TLS only.
    TlsExpected,
}

impl Status {
    const ALL: [Self; 5] =
        [Self::Welcome, Self::Full, Self::TokenMissing, Self::TokenUnexpected, Self::TlsExpected];

    /// Why the client may not use the store, if that is a matter of trust.
    pub(crate) fn denial(self) -> Option<Denial> {
        match self {
            Self::Welcome | Self::Full => None,
            Self::TokenMissing => Some(Denial::TokenMissing),
            Self::TokenUnexpected => Some(Denial::TokenUnexpected),
            Self::TlsExpected => Some(Denial::TlsExpected),
        }
    }
}

impl ServerHello {
    /// A hello to somebody who is not let in, and learns nothing but that.
    pub(crate) fn refusing(status: Status) -> Self {
        Self { status, instance: [0; 16], key: 0, connections: 0 }
    }

    pub(crate) fn is_welcome(&self) -> bool {
        self.status == Status::Welcome
    }

    pub(crate) fn to_bytes(self) -> [u8; SERVER_HELLO_BYTES] {
        let mut bytes = [0; SERVER_HELLO_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = self.status as u8;
        bytes[11..27].copy_from_slice(&self.instance);
        bytes[27..35].copy_from_slice(&self.key.to_le_bytes());
        bytes[35..].copy_from_slice(&self.connections.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SERVER_HELLO_BYTES]) -> Result<Self, Malformed> {
        let mut reader = Reader { rest: bytes };
        if reader.take(8)? != MAGIC {
            return Err(Malformed::Magic);
        }
        let version = u16::from_le_bytes(reader.array()?);
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let tag = reader.u8()?;
        let status = Status::ALL.into_iter().find(|status| *status as u8 == tag);
        let status = status.ok_or(Malformed::Tag(tag))?;
        Ok(Self {
            status,
            instance: reader.array()?,
            key: u64::from_le_bytes(reader.array()?),
            connections: u32::from_le_bytes(reader.array()?),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Set { key: String, value: Vec<u8> },
    Get { key: String },
    Wait { timeout_ms: u64, keys: Vec<String> },
    Add { key: String, delta: i64 },
    CompareSet { key: String, expected: Option<Vec<u8>>, new: Vec<u8> },
    Delete { key: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Done,
    NoValue,
    Value(Vec<u8>),
    Values(Vec<Vec<u8>>),
    Sum(i64),
    Deleted(bool),
    TimedOut { missing: Vec<String> },
    NotANumber { key: String },
    Full { bound: String, limit: u64 },
}

impl Request {
    /// The frame of this request.
    ///
    /// # Errors
    /// [`StoreError::Full`] if it is longer than the server takes, or a key longer than a length can say.
    pub(crate) fn to_frame(&self) -> Result<Vec<u8>, StoreError> {
        let mut writer = Writer::new();
        match self {
            Self::Wait { keys, .. } if keys.len() > LIST_LEN_MAX => {
                return Err(StoreError::Full { bound: "wait_keys".into(), limit: LIST_LEN_MAX as u64 });
            }
            Self::Set { key, value } => writer.u8(1).text(key)?.value(value),
            Self::Get { key } => writer.u8(2).text(key)?,
            Self::Wait { timeout_ms, keys } => writer.u8(WAIT).bytes(&timeout_ms.to_le_bytes()).keys(keys)?,
            Self::Add { key, delta } => writer.u8(4).text(key)?.bytes(&delta.to_le_bytes()),
            Self::CompareSet { key, expected: None, new } => writer.u8(5).text(key)?.u8(0).value(new),
            Self::CompareSet { key, expected: Some(expected), new } => {
                writer.u8(5).text(key)?.u8(1).value(expected).value(new)
            }
            Self::Delete { key } => writer.u8(6).text(key)?,
        };
        writer.frame(REQUEST_BYTES_MAX, "request_bytes")
    }

    /// The request in `body`. Of a wait for more than `wait_keys` keys, one more than that are kept: enough to
    /// refuse it.
    pub(crate) fn decode(body: &[u8], wait_keys: usize) -> Result<Self, Malformed> {
        let mut reader = Reader { rest: body };
        let request = match reader.u8()? {
            1 => Self::Set { key: reader.text()?.to_owned(), value: reader.value()?.to_vec() },
            2 => Self::Get { key: reader.text()?.to_owned() },
            WAIT => Self::Wait {
                timeout_ms: u64::from_le_bytes(reader.array()?),
                keys: reader.keys(wait_keys.saturating_add(1))?,
            },
            4 => Self::Add { key: reader.text()?.to_owned(), delta: i64::from_le_bytes(reader.array()?) },
            5 => {
                let key = reader.text()?.to_owned();
                let expected = if reader.flag()? { Some(reader.value()?.to_vec()) } else { None };
                Self::CompareSet { key, expected, new: reader.value()?.to_vec() }
            }
            6 => Self::Delete { key: reader.text()?.to_owned() },
            tag => return Err(Malformed::Tag(tag)),
        };
        reader.end()?;
        Ok(request)
    }
}

impl Reply {
    pub(crate) fn to_frame(&self) -> Result<Vec<u8>, StoreError> {
        let mut writer = Writer::new();
        match self {
            Self::Done => writer.u8(1),
            Self::NoValue => writer.u8(2),
            Self::Value(value) => writer.u8(3).value(value),
            Self::Values(values) => {
                writer.u8(4).u32(values.len());
                values.iter().fold(&mut writer, |writer, value| writer.value(value))
            }
            Self::Sum(sum) => writer.u8(5).bytes(&sum.to_le_bytes()),
            Self::Deleted(was_there) => writer.u8(6).u8(u8::from(*was_there)),
            Self::TimedOut { missing } => writer.u8(7).keys(missing)?,
            Self::NotANumber { key } => writer.u8(8).text(key)?,
            Self::Full { bound, limit } => writer.u8(9).text(bound)?.bytes(&limit.to_le_bytes()),
        };
        writer.frame(REPLY_BYTES_MAX, "reply_bytes")
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader { rest: body };
        let reply = match reader.u8()? {
            1 => Self::Done,
            2 => Self::NoValue,
            3 => Self::Value(reader.value()?.to_vec()),
            4 => Self::Values(reader.list(LIST_LEN_MAX, Reader::value)?),
            5 => Self::Sum(i64::from_le_bytes(reader.array()?)),
            6 => Self::Deleted(reader.flag()?),
            7 => Self::TimedOut { missing: reader.keys(LIST_LEN_MAX)? },
            8 => Self::NotANumber { key: reader.text()?.to_owned() },
            9 => Self::Full { bound: reader.text()?.to_owned(), limit: u64::from_le_bytes(reader.array()?) },
            tag => return Err(Malformed::Tag(tag)),
        };
        reader.end()?;
        Ok(reply)
    }
}

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it did not begin with the mark of a store")]
    Magic,
    #[error("it speaks version {0} of the store's protocol, and we {VERSION}")]
    Version(u16),
    #[error("a frame announces {announced} bytes, and at most {limit} are allowed")]
    TooLong { announced: u32, limit: usize },
    #[error("a list announces {0} elements, and at most {LIST_LEN_MAX} are allowed")]
    LongList(usize),
    #[error("a message ends too early")]
    Truncated,
    #[error("{0} bytes follow the end of a message")]
    Trailing(usize),
    #[error("{0} is no kind of message")]
    Tag(u8),
    #[error("a key is not utf-8")]
    Utf8,
    #[error("bytes came while their reply was still due")]
    OutOfTurn,
}

/// Whether a request whose body begins like this is a wait.
pub(crate) fn is_wait(body: &[u8]) -> bool {
    body.first() == Some(&WAIT)
}

/// The length of the body that `head` announces.
pub(crate) fn body_bytes(head: [u8; 4], limit: usize) -> Result<usize, Malformed> {
    let announced = u32::from_le_bytes(head);
    match usize::try_from(announced) {
        Ok(bytes) if bytes <= limit => Ok(bytes),
        _ => Err(Malformed::TooLong { announced, limit }),
    }
}

struct Writer {
    frame: Vec<u8>,
}

impl Writer {
    fn new() -> Self {
        Self { frame: vec![0; 4] }
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.frame.extend_from_slice(bytes);
        self
    }

    fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// A length or count. One that does not fit makes a frame that is over its limit anyway.
    fn u32(&mut self, value: usize) -> &mut Self {
        self.bytes(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes())
    }

    fn value(&mut self, value: &[u8]) -> &mut Self {
        self.u32(value.len()).bytes(value)
    }

    fn text(&mut self, text: &str) -> Result<&mut Self, StoreError> {
        let too_long = |_| StoreError::Full { bound: "key_bytes".into(), limit: u64::from(u16::MAX) };
        let len = u16::try_from(text.len()).map_err(too_long)?;
        Ok(self.bytes(&len.to_le_bytes()).bytes(text.as_bytes()))
    }

    fn keys(&mut self, keys: &[String]) -> Result<&mut Self, StoreError> {
        self.u32(keys.len());
        keys.iter().try_fold(self, |writer, key| writer.text(key))
    }

    fn frame(mut self, limit: usize, bound: &str) -> Result<Vec<u8>, StoreError> {
        let body_bytes = self.frame.len() - 4;
        if body_bytes > limit {
            return Err(StoreError::Full { bound: bound.into(), limit: limit as u64 });
        }
        self.frame[..4].copy_from_slice(&(body_bytes as u32).to_le_bytes());
        Ok(self.frame)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(Malformed::Tag(tag)),
        }
    }

    fn u32(&mut self) -> Result<usize, Malformed> {
        let value = u32::from_le_bytes(self.array()?);
        usize::try_from(value).map_err(|_| Malformed::Truncated)
    }

    fn value(&mut self) -> Result<&'a [u8], Malformed> {
        let bytes = self.u32()?;
        self.take(bytes)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = u16::from_le_bytes(self.array()?);
        std::str::from_utf8(self.take(usize::from(bytes))?).map_err(|_| Malformed::Utf8)
    }

    fn keys(&mut self, keep: usize) -> Result<Vec<String>, Malformed> {
        self.list(keep, Self::text)
    }

    /// Reads a list and keeps the first `keep` elements. Each element fails when no bytes are left, and nothing
    /// is reserved by the count.
    fn list<T: ToOwned + ?Sized + 'a>(
        &mut self,
        keep: usize,
        element: impl Fn(&mut Self) -> Result<&'a T, Malformed>,
    ) -> Result<Vec<T::Owned>, Malformed> {
        let count = self.u32()?;
        if count > LIST_LEN_MAX {
            return Err(Malformed::LongList(count));
        }
        let mut list = Vec::new();
        for index in 0..count {
            let element = element(self)?;
            if index < keep {
                list.push(element.to_owned());
            }
        }
        Ok(list)
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Trailing(self.rest.len())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = String> {
        "[a-zA-Zé0-9/_:-]{0,40}"
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..200)
    }

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            (key(), value()).prop_map(|(key, value)| Request::Set { key, value }),
            key().prop_map(|key| Request::Get { key }),
            (any::<u64>(), vec(key(), 0..9))
                .prop_map(|(timeout_ms, keys)| Request::Wait { timeout_ms, keys }),
            (key(), any::<i64>()).prop_map(|(key, delta)| Request::Add { key, delta }),
            (key(), proptest::option::of(value()), value())
                .prop_map(|(key, expected, new)| Request::CompareSet { key, expected, new }),
            key().prop_map(|key| Request::Delete { key }),
        ]
    }

    fn reply() -> impl Strategy<Value = Reply> {
        prop_oneof![
            Just(Reply::Done),
            Just(Reply::NoValue),
            value().prop_map(Reply::Value),
            vec(value(), 0..9).prop_map(Reply::Values),
            any::<i64>().prop_map(Reply::Sum),
            any::<bool>().prop_map(Reply::Deleted),
            vec(key(), 0..9).prop_map(|missing| Reply::TimedOut { missing }),
            key().prop_map(|key| Reply::NotANumber { key }),
            (key(), any::<u64>()).prop_map(|(bound, limit)| Reply::Full { bound, limit }),
        ]
    }

    /// The body of a frame, whose head must announce exactly it.
    fn body(frame: &[u8]) -> &[u8] {
        let (head, body) = frame.split_first_chunk().unwrap();
        assert_eq!(body_bytes(*head, REPLY_BYTES_MAX), Ok(body.len()));
        body
    }

    proptest! {
        #[test]
        fn requests_arrive_as_they_left_and_no_prefix_of_one_is_one(request in request()) {
            let frame = request.to_frame().unwrap();
            let body = body(&frame);
            prop_assert_eq!(Request::decode(body, 99), Ok(request));
            for end in 0..body.len() {
                prop_assert!(Request::decode(&body[..end], 99).is_err());
            }
            prop_assert_eq!(Request::decode(&[body, &[0]].concat(), 99), Err(Malformed::Trailing(1)));
        }

        #[test]
        fn replies_arrive_as_they_left_and_no_prefix_of_one_is_one(reply in reply()) {
            let frame = reply.to_frame().unwrap();
            let body = body(&frame);
            prop_assert_eq!(Reply::decode(body), Ok(reply));
            for end in 0..body.len() {
                prop_assert!(Reply::decode(&body[..end]).is_err());
            }
        }

        /// Garbage either is refused, or is the one way to write what it says.
        #[test]
        fn garbage_is_refused_or_means_exactly_one_message(tag in 0..12_u8, rest in vec(any::<u8>(), 0..100)) {
            let bytes = [&[tag][..], &rest].concat();
            if let Ok(request) = Request::decode(&bytes, 99) {
                let again = request.to_frame().unwrap();
                prop_assert_eq!(body(&again), &bytes[..]);
            }
            if let Ok(reply) = Reply::decode(&bytes) {
                let again = reply.to_frame().unwrap();
                prop_assert_eq!(body(&again), &bytes[..]);
            }
        }

        #[test]
        fn a_server_hello_arrives_as_it_left(instance: [u8; 16], key: u64, connections: u32, status in 0..5_usize) {
            let status = Status::ALL[status];
            let hello = ServerHello { status, instance, key, connections };
            prop_assert_eq!(ServerHello::decode(&hello.to_bytes()), Ok(hello));
        }

        #[test]
        fn a_hello_of_something_else_is_refused(bytes: [u8; SERVER_HELLO_BYTES]) {
            prop_assert!(ServerHello::decode(&bytes).is_err());
        }
    }

    #[test]
    fn counts_and_lengths_are_believed_only_as_far_as_bytes_follow() {
        let four_billion_keys = [&[3][..], &[0; 8], &[0xff; 4]].concat();
        assert_eq!(Request::decode(&four_billion_keys, 99), Err(Malformed::LongList(u32::MAX as usize)));
        let four_gib_value = [&[1, 1, 0, b'k'][..], &[0xff; 4]].concat();
        assert_eq!(Request::decode(&four_gib_value, 99), Err(Malformed::Truncated));
        let too_long = Malformed::TooLong { announced: u32::MAX, limit: REQUEST_BYTES_MAX };
        assert_eq!(body_bytes([0xff; 4], REQUEST_BYTES_MAX), Err(too_long));
    }

    #[test]
    fn short_keys_are_kept_only_up_to_one_more_than_the_bound() {
        let wait = |len: usize| Request::Wait { timeout_ms: 0, keys: vec!["k".into(); len] };
        let kept = |len: usize| match Request::decode(body(&wait(len).to_frame().unwrap()), 10) {
            Ok(Request::Wait { keys, .. }) => keys.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!([kept(9), kept(10), kept(11), kept(LIST_LEN_MAX)], [9, 10, 11, 11]);
        let refused = wait(LIST_LEN_MAX + 1).to_frame();
        assert!(matches!(refused, Err(StoreError::Full { bound, .. }) if bound == "wait_keys"));
        let one_byte_keys =
            [&[3][..], &[0; 8], &690_000_u32.to_le_bytes(), &[1, 0, b'k'].repeat(690_000)].concat();
        assert_eq!(Request::decode(&one_byte_keys, 4096), Err(Malformed::LongList(690_000)));
    }

    #[test]
    fn what_the_server_would_not_take_is_not_sent() {
        let long = Request::Set { key: "k".into(), value: vec![0; REQUEST_BYTES_MAX] };
        assert!(matches!(long.to_frame(), Err(StoreError::Full { bound, .. }) if bound == "request_bytes"));
        let long = Request::Get { key: "k".repeat(70_000) };
        assert!(matches!(long.to_frame(), Err(StoreError::Full { bound, .. }) if bound == "key_bytes"));
    }
}
