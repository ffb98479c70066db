//! The addresses of files that are uploaded by HTTP: `https://HOST[:PORT]/PATH[?QUERY]`, and
//! `s3://BUCKET/KEY`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The most bytes of a key, and of an address: S3's limit, and one that servers accept.
const MOST_KEY: usize = 1024;
const MOST_ADDRESS: usize = 8192;

/// The address of a file on a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpAddress {
    text: String,
    /// Where the query begins, which may be a secret.
    query: usize,
    is_plain: bool,
    is_local: bool,
}

impl HttpAddress {
    /// The address is kept as it is: what it cannot contain must be written as `%XX`.
    pub(crate) fn parse(argument: &str) -> Result<Self, String> {
        const FORM: &str = "expected https://HOST[:PORT]/PATH";
        let is_plain = argument.starts_with("http://");
        let rest = argument.strip_prefix("https://").or_else(|| argument.strip_prefix("http://"));
        let rest = rest.ok_or(FORM)?;
        let is_possible = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte);
        if argument.len() > MOST_ADDRESS || !argument.bytes().all(is_possible) {
            return Err(format!(
                "an address has at most {MOST_ADDRESS} bytes, no # and no blanks; other bytes are %XX"
            ));
        }
        let (place, path) = rest.split_at(rest.find(['/', '?']).ok_or(FORM)?);
        if place.contains('@') {
            return Err(
                "others can read a password in an address: set KJUMP_AUTHORIZATION to the value of the \
                 header Authorization"
                    .to_owned(),
            );
        }
        let host = host(place).ok_or(FORM)?;
        let name = path.split('?').next().unwrap_or_default();
        if !name.starts_with('/') || name.ends_with('/') {
            return Err("the path must name a file".to_owned());
        }
        let query = argument.find('?').unwrap_or(argument.len());
        Ok(Self { text: argument.to_owned(), query, is_plain, is_local: is_local(host) })
    }

    /// With the query.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether what is sent is not encrypted.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether what is sent stays on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }
}

/// Without the query, for messages.
impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.get(..self.query).unwrap_or_default())
    }
}

/// The host of `HOST[:PORT]`, if both are possible.
fn host(place: &str) -> Option<&str> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => {
            host.parse::<Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = port.is_none_or(|port| is_number(port) && port.parse::<u16>().is_ok_and(|port| port > 0));
    (has_port && !host.is_empty() && host.bytes().all(is_of_host)).then_some(host)
}

/// Whether this is a name or an address of this machine.
pub(super) fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

/// The address of an object in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct S3Address {
    bucket: String,
    key: String,
}

impl S3Address {
    /// The key is taken as it is, as other programs take it.
    pub(crate) fn parse(argument: &str) -> Result<Self, String> {
        const FORM: &str = "expected s3://BUCKET/KEY";
        let (bucket, key) =
            argument.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).ok_or(FORM)?;
        let is_of_bucket = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_name = bucket.bytes().all(is_of_bucket) && !bucket.contains("..");
        if !is_name || !(3..=63).contains(&bucket.len()) || !bucket.starts_with(char::is_alphanumeric) {
            return Err(format!("{bucket:?} is not the name of a bucket"));
        }
        // Servers and their clients take these parts for directories.
        let is_path = |part: &str| matches!(part, "." | "..");
        if key.is_empty() || key.ends_with('/') || key.split('/').any(is_path) {
            return Err("the key must name an object, without . or .. as a part".to_owned());
        }
        if key.len() > MOST_KEY || key.chars().any(char::is_control) {
            return Err(format!("a key has at most {MOST_KEY} bytes, and no control characters"));
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_web_address_has_a_host_and_a_file_and_its_query_is_not_printed() {
        for (address, shown, is_plain, is_local) in [
            ("https://collector/srv/web7", "https://collector/srv/web7", false, false),
            ("https://c:8443/a%20b?token=secret", "https://c:8443/a%20b", false, false),
            ("http://[::1]:80/a?b/c", "http://[::1]:80/a", true, true),
            ("http://127.3.4.5/a", "http://127.3.4.5/a", true, true),
            ("http://LocalHost/a", "http://LocalHost/a", true, true),
            ("http://localhost.example/a", "http://localhost.example/a", true, false),
            ("http://127.0.0.1.example/a", "http://127.0.0.1.example/a", true, false),
        ] {
            let found = HttpAddress::parse(address).unwrap();
            assert_eq!(found.to_string(), shown);
            assert_eq!(found.as_str(), address);
            assert_eq!((found.is_plain(), found.is_local()), (is_plain, is_local), "{address}");
        }
    }

    #[test]
    fn web_addresses_without_a_file_or_with_a_password_are_refused() {
        for address in [
            "ftp://host/a",
            "https://host",
            "https://host/",
            "https://host?a",
            "https://host/?a",
            "https:///a",
            "https://host:/a",
            "https://host:0/a",
            "https://host:65536/a",
            "https://host:+1/a",
            "https://[::1/a",
            "https://[x]/a",
            "https://[::1]x/a",
            "https://host/a b",
            "https://host/a#b",
            "https://host/\u{e9}",
            "https://ho st/a",
            "https://user:password@host/a",
        ] {
            let error = HttpAddress::parse(address).unwrap_err();
            assert!(!error.contains("user:password"), "{error}");
        }
        assert!(HttpAddress::parse(&format!("https://host/{}", "a".repeat(MOST_ADDRESS))).is_err());
    }

    #[test]
    fn an_object_has_a_bucket_and_a_key_that_is_taken_as_it_is() {
        for (address, bucket, key) in [
            ("s3://dumps/web7", "dumps", "web7"),
            ("s3://a.b-c/fleet//web 7%20+\u{e9}?#", "a.b-c", "fleet//web 7%20+\u{e9}?#"),
            ("s3://dumps/...", "dumps", "..."),
        ] {
            let found = S3Address::parse(address).unwrap();
            assert_eq!((found.bucket(), found.key()), (bucket, key));
            assert_eq!(found.to_string(), address);
        }
    }

    #[test]
    fn what_is_not_a_bucket_and_a_key_is_refused() {
        for address in [
            "s3:dumps/a",
            "s3://dumps",
            "s3://dumps/",
            "s3:///a",
            "s3://ab/a",
            "s3://-dumps/a",
            "s3://du..mps/a",
            "s3://key:secret@dumps/a",
            "s3://dumps/a/",
            "s3://dumps/../a",
            "s3://dumps/a/./b",
            "s3://dumps/a\n",
        ] {
            assert!(S3Address::parse(address).is_err(), "{address}");
        }
        assert!(S3Address::parse(&format!("s3://dumps/{}", "a".repeat(MOST_KEY + 1))).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_is_refused(text in "(https?|s3)://[ -~\u{e9}]{0,40}") {
            if let Ok(address) = HttpAddress::parse(&text) {
                prop_assert!(text.starts_with(&address.to_string()));
            }
            if let Ok(address) = S3Address::parse(&text) {
                prop_assert_eq!(address.to_string(), text);
            }
        }
    }
}
