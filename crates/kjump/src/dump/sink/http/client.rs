//! The client: how long it waits, whom it trusts, and when it tries again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fs, io, thread};

use anyhow::{Context, bail, ensure};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use super::answer::Failure;
use crate::terminal::report;

/// How often a request is tried, and the pause after the first time, which doubles.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// A connection that is silent for a minute is given up: nobody may be there to end the program.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(30);
/// How long a server may take to reject a request before its body is sent.
const BEFORE_BODY: Duration = Duration::from_secs(2);
/// Where systems keep the certificates that they trust, in one file.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// A variable of the environment that is not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Refuses to send memory without encryption, unless it stays here or the user wants it.
pub(super) fn check_encryption(is_plain: bool, is_local: bool, plain_http: bool) -> anyhow::Result<()> {
    ensure!(
        !is_plain || is_local || plain_http,
        "http:// would send the dump without encryption: use https://, or allow it by --plain-http"
    );
    Ok(())
}

/// A client. It follows no redirection. Without encryption, it uses no proxy either.
pub(super) fn agent(is_plain: bool) -> anyhow::Result<Agent> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .https_only(!is_plain)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(if is_plain { None } else { Proxy::try_from_env() })
        .user_agent(concat!("kjump/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_await_100(Some(BEFORE_BODY))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE));
    if is_plain {
        return Ok(config.build().new_agent());
    }
    let tls = TlsConfig::builder().root_certs(trusted()?).build();
    Ok(config.tls_config(tls).build().new_agent())
}

/// The certificates of a file that the environment names, or the system's; without them, as in an
/// initramfs, those that are part of the program.
fn trusted() -> anyhow::Result<RootCerts> {
    if let Some(file) = variable("SSL_CERT_FILE").or_else(|| variable("AWS_CA_BUNDLE")) {
        let text = fs::read(&file).with_context(|| file.clone())?;
        return certificates(&text).with_context(|| file);
    }
    for file in BUNDLES {
        match fs::read(file) {
            Ok(text) => return certificates(&text).context(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(file),
        }
    }
    Ok(RootCerts::WebPki)
}

fn certificates(pem: &[u8]) -> anyhow::Result<RootCerts> {
    let mut found: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.context("not a file of certificates in PEM")? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        bail!("there is no certificate in PEM in it");
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// Whether and when a failed request is sent again.
pub(super) struct Tries {
    left: u32,
    pause: Duration,
}

impl Tries {
    pub(super) fn new() -> Self {
        Self { left: TRIES - 1, pause: PAUSE }
    }

    /// Waits before another try; returns the failure if there is none.
    pub(super) fn wait(&mut self, what: &str, failure: Failure) -> Result<(), Failure> {
        if self.left == 0 || !failure.may_pass() {
            return Err(failure);
        }
        report::inform(&format!("{what}: {failure}: trying again in {} s\n", self.pause.as_secs()));
        thread::sleep(self.pause);
        self.left -= 1;
        self.pause *= 2;
        Ok(())
    }
}

/// The result of a request, which is tried again while its failure may pass.
pub(super) fn persistently<T>(
    what: &str,
    is_stopped: &AtomicBool,
    mut request: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut tries = Tries::new();
    loop {
        match request() {
            Ok(result) => return Ok(result),
            Err(failure) if is_stopped.load(Ordering::Relaxed) => return Err(failure),
            Err(failure) => tries.wait(what, failure)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_encryption_memory_does_not_leave_the_machine() {
        for (is_plain, is_local, plain_http, is_allowed) in [
            (false, false, false, true),
            (true, true, false, true),
            (true, false, true, true),
            (true, false, false, false),
        ] {
            assert_eq!(check_encryption(is_plain, is_local, plain_http).is_ok(), is_allowed);
        }
    }

    #[test]
    fn a_file_without_certificates_trusts_nobody() {
        for text in [&b""[..], b"\0\xff", b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            assert!(certificates(text).is_err());
        }
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        let mut count = 0;
        let lasting = |_: ()| Err::<(), _>(Failure::lasting("no"));
        let result = persistently("x", &AtomicBool::new(false), || {
            count += 1;
            lasting(())
        });
        assert_eq!((result.unwrap_err().to_string().as_str(), count), ("no", 1));
    }
}
