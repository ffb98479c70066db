//! The address of a file on another machine: `ssh://[USER@]HOST[:PORT]/PATH`.

use std::fmt;

/// The address of a file on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshAddress {
    user: Option<String>,
    /// A name, or an IP address without brackets.
    host: String,
    port: Option<u16>,
    /// Starts with a slash; any other byte but zero is possible.
    path: Vec<u8>,
}

impl SshAddress {
    /// In the path, `%XX` is the byte with this hexadecimal number.
    pub(crate) fn parse(argument: &[u8]) -> Result<Self, String> {
        const FORM: &str = "expected ssh://[USER@]HOST[:PORT]/PATH";
        let rest = argument.strip_prefix(b"ssh://").ok_or(FORM)?;
        let slash = rest.iter().position(|byte| *byte == b'/').ok_or(FORM)?;
        let (place, path) = rest.split_at(slash);
        let place = std::str::from_utf8(place).map_err(|_| FORM)?;
        let (user, place) = match place.rsplit_once('@') {
            Some((user, place)) => (Some(checked(user, "user", ".-_+")?), place),
            None => (None, place),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => {
                (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")).ok_or(FORM)?)
            }
            None => place.split_once(':').unwrap_or((place, "")),
        };
        let port = match port {
            "" => None,
            digits => Some(digits.parse().ok().filter(|port| *port > 0).ok_or("a port is from 1 to 65535")?),
        };
        let path = decoded(path)?;
        if path.contains(&0) || path.ends_with(b"/") {
            return Err("the path must name a file, without zero bytes".to_owned());
        }
        Ok(Self { user, host: checked(host, "host", ".-_:%")?, port, path })
    }

    /// The arguments of ssh that name the machine.
    pub(super) fn arguments(&self) -> Vec<String> {
        let port = self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]);
        let user = self.user.iter().flat_map(|user| ["-l".to_owned(), user.clone()]);
        port.chain(user).chain(["--".to_owned(), self.host.clone()]).collect()
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }
}

/// As a machine and a path, for messages.
impl fmt::Display for SshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, String::from_utf8_lossy(&self.path).escape_debug())
    }
}

/// A name that ssh cannot mistake for an option.
fn checked(name: &str, what: &str, others: &str) -> Result<String, String> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || others.contains(letter);
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_of_name) {
        return Err(format!("{name:?} is not the name of a {what}"));
    }
    Ok(name.to_owned())
}

fn decoded(path: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        let digits = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(digits.ok_or("% in a path is followed by two hexadecimal digits; % itself is %25")?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(address: &str) -> Result<(Vec<String>, Vec<u8>), String> {
        SshAddress::parse(address.as_bytes()).map(|address| (address.arguments(), address.path))
    }

    #[test]
    fn an_address_has_a_host_a_path_and_maybe_a_user_and_a_port() {
        for (address, arguments, path) in [
            ("ssh://host/a", "-- host", &b"/a"[..]),
            ("ssh://me@host:22/a b", "-p 22 -l me -- host", b"/a b"),
            ("ssh://[fe80::1%25eth0]/x", "-- fe80::1%25eth0", b"/x"),
            ("ssh://[::1]:2222/x%0a%ff", "-p 2222 -- ::1", b"/x\n\xff"),
            ("ssh://host//a%25'$(x)", "-- host", b"//a%'$(x)"),
        ] {
            let (found, bytes) = parsed(address).unwrap();
            assert_eq!((found.join(" ").as_str(), &bytes[..]), (arguments, path), "{address}");
        }
    }

    #[test]
    fn what_ssh_could_mistake_for_an_option_is_refused() {
        for address in [
            "host:/a",
            "ssh://host",
            "ssh://host/",
            "ssh:///a",
            "ssh://-oProxyCommand=x/a",
            "ssh://-l@host/a",
            "ssh://a b/c",
            "ssh://host:0/a",
            "ssh://host:99999/a",
            "ssh://host/a%0",
            "ssh://host/a%00",
            "ssh://host/a%zz",
            "ssh://[::1/a",
            "ssh://[::1]x/a",
            "sftp://host/a",
        ] {
            assert!(parsed(address).is_err(), "{address}");
        }
    }
}
