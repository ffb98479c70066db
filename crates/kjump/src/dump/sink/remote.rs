//! The destinations on other machines.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::Context;
use clap::builder::{OsStringValueParser, TypedValueParser};

#[cfg(feature = "https")]
use super::http::{HttpAddress, Put, S3Address, S3Upload};
use super::ssh::{self, SshAddress};

/// The schemes that the feature `https` adds.
const HTTP: [&str; 3] = ["s3://", "https://", "http://"];

/// The address of a file on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Ssh(SshAddress),
    #[cfg(feature = "https")]
    S3(S3Address),
    #[cfg(feature = "https")]
    Http(HttpAddress),
}

impl Address {
    /// For a table of options.
    pub(crate) fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|argument: OsString| Self::parse(argument.as_bytes()))
    }

    fn parse(argument: &[u8]) -> Result<Self, String> {
        if argument.starts_with(b"ssh://") {
            return SshAddress::parse(argument).map(Self::Ssh);
        }
        match HTTP.iter().find(|scheme| argument.starts_with(scheme.as_bytes())) {
            Some(scheme) => Self::parse_http(scheme, argument),
            None => Err("expected ssh://, s3:// or https://".to_owned()),
        }
    }

    #[cfg(feature = "https")]
    fn parse_http(scheme: &str, argument: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(argument).map_err(|_| "this is not UTF-8")?;
        match scheme {
            "s3://" => S3Address::parse(text).map(Self::S3),
            _ => HttpAddress::parse(text).map(Self::Http),
        }
    }

    #[cfg(not(feature = "https"))]
    fn parse_http(scheme: &str, _: &[u8]) -> Result<Self, String> {
        Err(format!("this program was built without {scheme}: build it with `--features https`"))
    }
}

/// For messages: without anything secret.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh(address) => address.fmt(f),
            #[cfg(feature = "https")]
            Self::S3(address) => address.fmt(f),
            #[cfg(feature = "https")]
            Self::Http(address) => address.fmt(f),
        }
    }
}

/// Where a dump goes, and how to get there.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) address: Address,
    /// ssh's file of options if it is not the user's.
    pub(crate) ssh_config: Option<PathBuf>,
    /// Whether the dump may be sent to other machines without encryption.
    #[cfg_attr(not(feature = "https"), expect(dead_code, reason = "ssh encrypts"))]
    pub(crate) plain_http: bool,
}

impl Remote {
    /// Finds out, before anything is read, whether the environment has what is needed.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let checked: anyhow::Result<()> = match &self.address {
            Address::Ssh(_) => Ok(()),
            #[cfg(feature = "https")]
            Address::S3(address) => S3Upload::check(address, self.plain_http),
            #[cfg(feature = "https")]
            Address::Http(address) => Put::check(address, self.plain_http),
        };
        checked.with_context(|| self.address.to_string())
    }

    /// The memory of an upload in bytes, of a dump with at most this number of pages.
    #[cfg_attr(not(feature = "https"), expect(unused_variables, reason = "ssh does not need it"))]
    pub(crate) fn memory(&self, pages: u64) -> u64 {
        match &self.address {
            Address::Ssh(_) => 0,
            #[cfg(feature = "https")]
            Address::S3(_) => S3Upload::memory(pages),
            #[cfg(feature = "https")]
            Address::Http(_) => Put::memory(),
        }
    }
}

/// A stream to a file on another machine.
pub(super) enum Upload {
    Ssh(Box<ssh::Upload>),
    #[cfg(feature = "https")]
    S3(S3Upload),
    #[cfg(feature = "https")]
    Put(Put),
}

impl Upload {
    /// Starts a stream of a dump with at most this number of pages.
    #[cfg_attr(not(feature = "https"), expect(unused_variables, reason = "ssh does not need it"))]
    pub(super) fn start(remote: &Remote, pages: u64) -> anyhow::Result<Self> {
        match &remote.address {
            Address::Ssh(address) => {
                let upload = ssh::Upload::start(address, remote.ssh_config.as_deref())?;
                Ok(Self::Ssh(Box::new(upload)))
            }
            #[cfg(feature = "https")]
            Address::S3(address) => S3Upload::start(address, remote.plain_http, pages).map(Self::S3),
            #[cfg(feature = "https")]
            Address::Http(address) => Put::start(address, remote.plain_http).map(Self::Put),
        }
    }

    /// Ends the stream: waits until the other machine has all of it and has given it its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Ssh(upload) => upload.finish(),
            #[cfg(feature = "https")]
            Self::S3(upload) => upload.finish(),
            #[cfg(feature = "https")]
            Self::Put(upload) => upload.finish(),
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Ssh(upload) => upload.write(bytes),
            #[cfg(feature = "https")]
            Self::S3(upload) => upload.write(bytes),
            #[cfg(feature = "https")]
            Self::Put(upload) => upload.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Ssh(upload) => upload.flush(),
            #[cfg(feature = "https")]
            Self::S3(upload) => upload.flush(),
            #[cfg(feature = "https")]
            Self::Put(upload) => upload.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_by_their_scheme() {
        let shown = |text: &str| Address::parse(text.as_bytes()).map(|address| address.to_string());
        assert_eq!(shown("ssh://host/a%20b").unwrap(), "host:/a b");
        assert_eq!(shown("host:/a").unwrap_err(), "expected ssh://, s3:// or https://");
        assert!(Address::parse(b"https://host/\xff").is_err());
        let others = ["s3://dumps/a", "https://host/a", "http://host/a"].map(shown);
        if cfg!(feature = "https") {
            assert_eq!(others.map(Result::unwrap), ["s3://dumps/a", "https://host/a", "http://host/a"]);
        } else {
            let refused = others.map(Result::unwrap_err);
            assert_eq!(refused[0], "this program was built without s3://: build it with `--features https`");
            assert!(refused[1].contains("without https://:") && refused[2].contains("without http://:"));
        }
    }
}
