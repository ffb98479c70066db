//! The requests of an upload in parts: create, upload a part, complete, abort.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use rusty_s3::actions::CreateMultipartUpload;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use ureq::Agent;
use ureq::http::HeaderMap;
use zeroize::Zeroizing;

use super::super::S3Address;
use super::super::address::is_local;
use super::super::answer::{Answer, Failure, Kind, answer};
use super::super::client::{self, persistently, variable};
use crate::terminal::report;

/// How long a signed request may be on its way.
const VALID: Duration = Duration::from_secs(3600);

/// What is known of a part that the server has.
pub(super) struct Etag {
    text: String,
    md5: [u8; 16],
}

/// An upload and what its requests need.
pub(super) struct Transfer {
    address: S3Address,
    bucket: Bucket,
    credentials: Credentials,
    agent: Agent,
    /// The upload's name, from its creation until it is completed or aborted.
    upload: Mutex<Option<String>>,
    /// Whether nothing is to be tried again.
    is_stopped: AtomicBool,
}

impl Transfer {
    /// With credentials, region and endpoint from the usual variables.
    pub(super) fn new(address: &S3Address, plain_http: bool) -> anyhow::Result<Self> {
        let endpoint = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        let bucket = bucket(address, endpoint.as_deref(), region)?;
        let is_plain = bucket.base_url().scheme() == "http";
        let is_local = bucket.base_url().host_str().is_some_and(is_local);
        client::check_encryption(is_plain, is_local, plain_http)?;
        Ok(Self {
            address: address.clone(),
            bucket,
            credentials: credentials()?,
            agent: client::agent(is_plain)?,
            upload: Mutex::new(None),
            is_stopped: AtomicBool::new(false),
        })
    }

    pub(super) fn address(&self) -> &S3Address {
        &self.address
    }

    pub(super) fn inform(&self, text: &str) {
        report::inform(&format!("{}: {text}\n", self.address));
    }

    fn upload(&self) -> MutexGuard<'_, Option<String>> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of a request. It is secret, because it has a signature.
    fn sign<'a>(&self, action: &impl S3Action<'a>) -> Zeroizing<String> {
        Zeroizing::new(action.sign(VALID).into())
    }

    /// Starts the upload.
    pub(super) fn create(&self) -> Result<(), Failure> {
        // Until it has a name, nobody can abort it: a signal waits.
        let mut upload = self.upload();
        let answer = persistently(&self.address.to_string(), &self.is_stopped, || {
            let mut action = self.bucket.create_multipart_upload(Some(&self.credentials), self.address.key());
            action.headers_mut().insert("content-type", "application/octet-stream");
            let request = self.agent.post(self.sign(&action).as_str());
            answer(request.content_type("application/octet-stream").send_empty())
        })?;
        let created = CreateMultipartUpload::parse_response(&answer.text).map_err(|error| {
            Failure::lasting(format!("unexpected reply from the server (not S3?): {error}"))
        })?;
        *upload = Some(created.upload_id().to_owned());
        Ok(())
    }

    fn name(&self) -> Result<String, Failure> {
        self.upload().clone().ok_or_else(|| Failure::lasting("the upload was aborted"))
    }

    /// Uploads a part. The server compares its digest with that in the request; that in the answer
    /// is compared here.
    pub(super) fn put(&self, number: u16, bytes: &[u8]) -> Result<Etag, Failure> {
        let upload = self.name()?;
        let md5: [u8; 16] = Md5::digest(bytes).into();
        let encoded = BASE64_STANDARD.encode(md5);
        persistently(&format!("part {number} of {}", self.address), &self.is_stopped, || {
            let (key, credentials) = (self.address.key(), Some(&self.credentials));
            let mut action = self.bucket.upload_part(credentials, key, number, &upload);
            action.headers_mut().insert("content-md5", encoded.as_str());
            let request = self.agent.put(self.sign(&action).as_str()).header("content-md5", &encoded);
            let Answer { headers, .. } = answer(request.send(bytes))?;
            let text = headers.get("etag").and_then(|etag| etag.to_str().ok());
            let text = text.ok_or_else(|| Failure::passing("the server's answer has no ETag"))?;
            match arrived(&headers, text) {
                Some(arrived) if !arrived.eq_ignore_ascii_case(&hex(&md5)) => Err(Failure::passing(format!(
                    "the checksum of what arrived is wrong: MD5 {arrived}, sent was {}",
                    hex(&md5)
                ))),
                _ => Ok(Etag { text: text.to_owned(), md5 }),
            }
        })
    }

    /// Makes an object of all parts.
    pub(super) fn complete(&self, parts: &[Etag]) -> Result<(), Failure> {
        let upload = self.name()?;
        let mut was_lost = false;
        let completed = persistently(&self.address.to_string(), &self.is_stopped, || {
            let etags = parts.iter().map(|part| part.text.as_str());
            let (key, credentials) = (self.address.key(), Some(&self.credentials));
            let action = self.bucket.complete_multipart_upload(credentials, key, &upload, etags);
            let request = self.agent.post(self.sign(&action).as_str()).content_type("application/xml");
            let result = answer(request.send(action.body()));
            was_lost |= result.as_ref().is_err_and(|failure| failure.kind == Kind::Lost);
            result
        });
        match completed {
            Ok(_) => {}
            // An answer was lost: the object may be there.
            Err(failure) if was_lost && self.etag().as_deref() == Some(&of_all(parts)) => {
                self.inform(&format!("{failure}, but the object is there, with the right checksum"));
            }
            Err(failure) => return Err(failure),
        }
        *self.upload() = None;
        Ok(())
    }

    /// The ETag of the object, without quotes.
    fn etag(&self) -> Option<String> {
        let action = self.bucket.head_object(Some(&self.credentials), self.address.key());
        let answer = answer(self.agent.head(self.sign(&action).as_str()).call()).ok()?;
        Some(answer.headers.get("etag")?.to_str().ok()?.trim_matches('"').to_owned())
    }

    /// Removes the parts of an upload that was not completed.
    pub(super) fn abort(&self) -> Result<(), Failure> {
        let Some(upload) = self.upload().take() else { return Ok(()) };
        let aborted = persistently(&self.address.to_string(), &self.is_stopped, || {
            let (key, credentials) = (self.address.key(), Some(&self.credentials));
            let action = self.bucket.abort_multipart_upload(credentials, key, &upload);
            answer(self.agent.delete(self.sign(&action).as_str()).call())
        });
        match aborted {
            Err(failure) if failure.code.as_deref() != Some("NoSuchUpload") => Err(failure),
            _ => Ok(()),
        }
    }

    /// Nothing is tried again from now on.
    pub(super) fn give_up_soon(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Aborts the upload because the program is about to end.
    pub(super) fn stop(&self) {
        self.give_up_soon();
        match self.abort() {
            Ok(()) => {}
            Err(failure) => self.inform(&format!("the upload could not be aborted: {failure}")),
        }
    }
}

fn credentials() -> anyhow::Result<Credentials> {
    Credentials::from_env().context("the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
}

/// The bucket at an endpoint of any server, or at Amazon's for a region.
fn bucket(address: &S3Address, endpoint: Option<&str>, region: Option<String>) -> anyhow::Result<Bucket> {
    let name = address.bucket().to_owned();
    // Amazon's certificates are for names without more dots.
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let style = match endpoint {
        None if name.bytes().all(is_label) => UrlStyle::VirtualHost,
        _ => UrlStyle::Path,
    };
    let (endpoint, region) = match (endpoint, region) {
        (Some(endpoint), region) => (endpoint.to_owned(), region.unwrap_or_else(|| "us-east-1".to_owned())),
        (None, Some(region)) => {
            let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
            (format!("https://s3.{region}.{domain}"), region)
        }
        (None, None) => anyhow::bail!("neither AWS_REGION nor AWS_ENDPOINT_URL is set"),
    };
    // The endpoint may contain a password.
    let parsed = endpoint.parse().context("the endpoint is not an address")?;
    Bucket::new(parsed, style, name, region).context("the endpoint cannot be used")
}

/// The digest of the part that arrived, unless the ETag is another one: encrypted objects have such
/// ETags, and some servers'.
fn arrived<'a>(headers: &HeaderMap, etag: &'a str) -> Option<&'a str> {
    let is_other = |value: &ureq::http::HeaderValue| value != "AES256";
    let is_encrypted = headers.get("x-amz-server-side-encryption").is_some_and(is_other)
        || headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
    let etag = etag.trim_matches('"');
    let is_digest = etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_digest && !is_encrypted).then_some(etag)
}

/// The ETag of the object that consists of these parts.
fn of_all(parts: &[Etag]) -> String {
    let digests: Vec<u8> = parts.iter().flat_map(|part| part.md5).collect();
    format!("{}-{}", hex(&Md5::digest(digests)), parts.len())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(address: &str, endpoint: Option<&str>, region: Option<&str>) -> String {
        let address = S3Address::parse(address).unwrap();
        match bucket(&address, endpoint, region.map(str::to_owned)) {
            Ok(bucket) => bucket.object_url(address.key()).to_string(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn buckets_are_at_amazon_or_at_the_endpoint() {
        for (address, endpoint, region, expected) in [
            ("s3://dumps/a b", None, Some("eu-west-1"), "https://dumps.s3.eu-west-1.amazonaws.com/a%20b"),
            ("s3://du.mps/a", None, Some("cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn/du.mps/a"),
            ("s3://dumps/a//b", Some("http://[::1]:9000/x"), None, "http://[::1]:9000/x/dumps/a//b"),
            ("s3://dumps/a%20?#", Some("https://s3.example"), None, "https://s3.example/dumps/a%2520%3F%23"),
            ("s3://dumps/a", None, None, "neither AWS_REGION nor AWS_ENDPOINT_URL is set"),
        ] {
            assert_eq!(base(address, endpoint, region), expected);
        }
        for endpoint in ["collector:9000", "ftp://collector", "https://", "nonsense"] {
            assert!(base("s3://dumps/a", Some(endpoint), None).starts_with("the endpoint"), "{endpoint}");
        }
    }

    #[test]
    fn an_etag_is_compared_if_it_is_a_digest() {
        let digest = "\"d41d8cd98f00b204e9800998ecf8427e\"";
        let with = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(ureq::http::HeaderName::from_static(name), value.parse().unwrap())])
        };
        let sse = "x-amz-server-side-encryption";
        assert_eq!(arrived(&HeaderMap::new(), digest), Some("d41d8cd98f00b204e9800998ecf8427e"));
        assert!(arrived(&with(sse, "AES256"), digest).is_some());
        assert!(arrived(&with(sse, "aws:kms"), digest).is_none());
        assert!(arrived(&HeaderMap::new(), "\"d41d8cd98f00b204e9800998ecf8427e-1\"").is_none());
        assert!(arrived(&HeaderMap::new(), "").is_none());
    }

    #[test]
    fn the_etag_of_an_object_is_that_of_its_digests() {
        let part = |bytes: &[u8]| Etag { text: String::new(), md5: Md5::digest(bytes).into() };
        // As `(printf a | md5sum; printf b | md5sum) | cut -c-32 | xxd -r -p | md5sum` prints it.
        assert_eq!(of_all(&[part(b"a"), part(b"b")]), "96e024ba2074fe77e8e965ba43a704be-2");
    }
}
