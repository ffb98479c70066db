//! The answers of servers, and which failures may pass.

use std::fmt;
use std::io::{self, Read};

use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Body, Error};

/// The most bytes of an answer, and of what is printed of it.
const MOST_ANSWER: u64 = 64 << 10;
const MOST_PRINTED: usize = 300;
/// Codes of S3 for failures that may pass, whatever their status is.
const PASSING: [&str; 6] =
    ["BadDigest", "InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling"];
/// Codes for servers that are full, as far as they are known.
const FULL: [&str; 4] =
    ["EntityTooLarge", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"];

/// An answer that is not an error.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// Why a request failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    text: String,
    /// The server's own name of the failure.
    pub(super) code: Option<String>,
    pub(super) kind: Kind,
}

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The same request may succeed later. The server has refused it.
    Refused,
    /// The same request may succeed later. Whether the server has carried it out is not known.
    Lost,
    /// The server has no room.
    Full,
    Lasting,
}

impl Failure {
    pub(super) fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: None, kind: Kind::Lasting }
    }

    /// A failure of which a later request may know nothing.
    pub(super) fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: None, kind: Kind::Refused }
    }

    pub(super) fn may_pass(&self) -> bool {
        matches!(self.kind, Kind::Refused | Kind::Lost)
    }

    /// The kind of error for a writer.
    pub(super) fn io_kind(&self) -> io::ErrorKind {
        if self.kind == Kind::Full { io::ErrorKind::StorageFull } else { io::ErrorKind::BrokenPipe }
    }

    /// An error without an answer. Errors that contain an address are not printed whole: its query
    /// may be a secret.
    pub(super) fn of_error(error: &Error) -> Self {
        let kind = match error {
            // A certificate stays wrong.
            Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Kind::Lasting,
            Error::Io(_) | Error::Timeout(_) | Error::HostNotFound | Error::ConnectionFailed => Kind::Lost,
            Error::Protocol(_) | Error::BodyStalled => Kind::Lost,
            _ => Kind::Lasting,
        };
        let text = match error {
            Error::BadUri(_) | Error::RequireHttpsOnly(_) => "the address cannot be used".to_owned(),
            Error::HostNotFound => "the name of the host cannot be resolved".to_owned(),
            Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        Self { text: printable(&text), code: None, kind }
    }

    fn of_answer(answer: &Answer) -> Self {
        let code = element(&answer.text, "Code").map(|code| printable(&code));
        let message = element(&answer.text, "Message").map(|message| printable(&message));
        let kind = match (answer.status.as_u16(), code.as_deref()) {
            (_, Some(code)) if FULL.contains(&code) => Kind::Full,
            (413 | 507, _) => Kind::Full,
            (_, Some(code)) if PASSING.contains(&code) => Kind::Refused,
            (408 | 425 | 429, _) => Kind::Refused,
            (500 | 502 | 503 | 504, _) => Kind::Lost,
            _ => Kind::Lasting,
        };
        let reason = answer.status.canonical_reason().unwrap_or_default();
        let mut text =
            format!("the server answers {} {reason}", answer.status.as_u16()).trim_end().to_owned();
        for part in [code.clone(), message].into_iter().flatten() {
            text += &format!(": {part}");
        }
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        match (header("x-amz-bucket-region"), header("location")) {
            (Some(region), _) if !answer.status.is_server_error() => {
                text += &format!(" (the bucket is in the region {})", printable(region));
            }
            (None, Some(place)) if answer.status.is_redirection() => {
                let place = place.split('?').next().unwrap_or_default();
                text += &format!(" (it refers to {}, which is not followed)", printable(place));
            }
            _ => {}
        }
        Self { text, code, kind }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The answer to a request. An error in an answer with the status of a success is one, too.
pub(super) fn answer(sent: Result<Response<Body>, Error>) -> Result<Answer, Failure> {
    let (head, body) = sent.map_err(|error| Failure::of_error(&error))?.into_parts();
    let mut text = Vec::new();
    let read = body.into_reader().take(MOST_ANSWER).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let answer = Answer { status: head.status, headers: head.headers, text };
    if !answer.status.is_success() || answer.text.contains("<Error>") {
        return Err(Failure::of_answer(&answer));
    }
    read.map_err(|error| Failure::of_error(&error.into()))?;
    Ok(answer)
}

/// The text of the first element with this name.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>")).filter(|(inner, _)| !inner.is_empty())?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(inner.to_owned(), |text, (entity, letter)| text.replace(entity, letter)))
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(MOST_PRINTED).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ureq::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn failure(status: u16, headers: &[(&'static str, &'static str)], text: &str) -> Failure {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let status = StatusCode::from_u16(status).unwrap();
        Failure::of_answer(&Answer { status, headers: headers.collect(), text: text.to_owned() })
    }

    #[test]
    fn a_failure_names_status_code_and_message() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code>\
                   <Message>a &lt;b&gt;\n&amp;lt;</Message></Error>";
        for (failure, kind, text) in [
            (failure(503, &[], xml), Kind::Refused, "503 Service Unavailable: SlowDown: a <b>&lt;"),
            (failure(500, &[], "<html>"), Kind::Lost, "500 Internal Server Error"),
            (failure(507, &[], ""), Kind::Full, "507 Insufficient Storage"),
            (
                failure(403, &[], "<Error><Code>SignatureDoesNotMatch</Code><Message>No</Message></Error>"),
                Kind::Lasting,
                "403 Forbidden: SignatureDoesNotMatch: No",
            ),
            (
                failure(301, &[("x-amz-bucket-region", "eu-west-1"), ("location", "https://x/")], ""),
                Kind::Lasting,
                "301 Moved Permanently (the bucket is in the region eu-west-1)",
            ),
            (
                failure(307, &[("location", "https://x/y?secret")], ""),
                Kind::Lasting,
                "307 Temporary Redirect (it refers to https://x/y, which is not followed)",
            ),
            (failure(799, &[], "<Code>"), Kind::Lasting, "799"),
        ] {
            assert_eq!(failure.to_string(), format!("the server answers {text}"));
            assert_eq!(failure.kind, kind, "{text}");
        }
    }

    #[test]
    fn an_address_is_not_part_of_an_error() {
        for error in
            [Error::BadUri("https://x?secret".into()), Error::RequireHttpsOnly("http://x?secret".into())]
        {
            assert!(!Failure::of_error(&error).to_string().contains("secret"));
        }
    }

    #[test]
    fn errors_of_networks_may_pass_and_certificates_do_not() {
        for (kind, passes) in [
            (io::ErrorKind::ConnectionRefused, true),
            (io::ErrorKind::UnexpectedEof, true),
            (io::ErrorKind::InvalidData, false),
        ] {
            assert_eq!(Failure::of_error(&Error::Io(kind.into())).may_pass(), passes, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_printed_in_bounds(text in "(</?Code>|</?Message>|&lt;|[ -~\n\u{e9}]){0,400}") {
            let failure = failure(400, &[], &text).to_string();
            prop_assert!(failure.chars().count() < 2 * MOST_PRINTED + 60);
            prop_assert!(!failure.contains(char::is_control));
        }
    }
}
