//! A file that is uploaded by one `PUT` request.
//!
//! The length of a dump is not known in advance, so it is sent in chunks (RFC 9112, 7.1), and what
//! was sent is not here any more: the request is tried again only while nothing of the dump was
//! taken from the pipe. Servers can refuse it before that, because it expects 100 (RFC 9110,
//! 10.1.1).

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, bail};
use ureq::http::StatusCode;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderValue};
use ureq::{Agent, SendBody};
use zeroize::Zeroizing;

use super::HttpAddress;
use super::answer::{Failure, answer};
use super::client::{self, Tries};
use crate::dump::sink::counted::Counted;
use crate::terminal::report;

/// The variable with the value of the header Authorization.
const PASSWORD: &str = "KJUMP_AUTHORIZATION";

/// What a request needs.
struct Request {
    address: HttpAddress,
    agent: Agent,
    authorization: Option<HeaderValue>,
}

impl Request {
    fn new(address: &HttpAddress, plain_http: bool) -> anyhow::Result<Self> {
        client::check_encryption(address.is_plain(), address.is_local(), plain_http)?;
        let authorization = match client::variable(PASSWORD).map(Zeroizing::new) {
            Some(value) => {
                let mut value = HeaderValue::from_str(&value)
                    .map_err(|_| anyhow::anyhow!("{PASSWORD} is not the value of a header"))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self { address: address.clone(), agent: client::agent(address.is_plain())?, authorization })
    }

    /// Sends what comes from the pipe.
    fn send(&self, mut body: Stream) -> Result<(), Failure> {
        let mut tries = Tries::new();
        loop {
            let mut request = self.agent.put(self.address.as_str()).header(EXPECT, "100-continue");
            request = request.header(CONTENT_TYPE, "application/octet-stream");
            if let Some(value) = &self.authorization {
                request = request.header(AUTHORIZATION, value);
            }
            match answer(request.send(SendBody::from_reader(&mut body))) {
                Ok(_) if body.is_ended => return Ok(()),
                Ok(_) => return Err(Failure::lasting("the server took only a part of it")),
                Err(failure) if body.is_begun => return Err(failure),
                Err(failure) => tries.wait(&self.address.to_string(), failure)?,
            }
        }
    }

    /// The length of the file there, if the server answers that.
    fn length(&self) -> Option<u64> {
        let mut request = self.agent.head(self.address.as_str());
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let answer = answer(request.call()).ok().filter(|answer| answer.status == StatusCode::OK)?;
        answer.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

/// What is sent.
struct Stream {
    from: PipeReader,
    /// Whether the writer ended the stream; otherwise it was given up.
    is_whole: Arc<AtomicBool>,
    is_begun: bool,
    is_ended: bool,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_begun = true;
        let count = self.from.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            if !self.is_whole.load(Ordering::Acquire) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            self.is_ended = true;
        }
        Ok(count)
    }
}

/// A stream to a file on a web server.
pub(crate) struct Put {
    request: Arc<Request>,
    to: Counted<PipeWriter>,
    is_whole: Arc<AtomicBool>,
    sender: Option<JoinHandle<Result<(), Failure>>>,
    /// Why the stream broke: each thread that writes gets the reason.
    failure: Option<Failure>,
}

impl Put {
    /// Finds out whether the environment has what an upload needs.
    pub(crate) fn check(address: &HttpAddress, plain_http: bool) -> anyhow::Result<()> {
        Request::new(address, plain_http).map(drop)
    }

    /// Its memory in bytes.
    pub(crate) fn memory() -> u64 {
        super::CONNECTION
    }

    pub(crate) fn start(address: &HttpAddress, plain_http: bool) -> anyhow::Result<Self> {
        let request = Arc::new(Request::new(address, plain_http)?);
        let (from, to) = io::pipe()?;
        let is_whole = Arc::new(AtomicBool::new(false));
        let body = Stream { from, is_whole: is_whole.clone(), is_begun: false, is_ended: false };
        let shared = request.clone();
        let sender = thread::Builder::new().spawn(move || shared.send(body));
        Ok(Self {
            request,
            to: Counted::new(to),
            is_whole,
            sender: Some(sender.context("no thread to send the dump")?),
            failure: None,
        })
    }

    /// Ends the stream; the result of the request.
    fn end(&mut self) -> Result<(), Failure> {
        self.to.close();
        match self.sender.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(Failure::lasting("the request has ended")),
        }
    }

    fn broken(&mut self) -> io::Error {
        if self.failure.is_none() {
            let reason = self.end().err();
            self.failure = Some(reason.unwrap_or_else(|| {
                Failure::lasting("the server ended the request before the end of the dump")
            }));
        }
        let kind = self.failure.as_ref().map_or(io::ErrorKind::BrokenPipe, Failure::io_kind);
        io::Error::new(kind, self.reason())
    }

    fn reason(&self) -> String {
        let failure = self.failure.as_ref().map(Failure::to_string).unwrap_or_default();
        format!("{failure}; {} was not saved, {} bytes were sent", self.request.address, self.to.count())
    }

    /// Ends the stream: waits until the server has all of it, and compares the length.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        if self.to.write_last(&[]).is_err() {
            return Err(self.broken().into());
        }
        self.is_whole.store(true, Ordering::Release);
        if let Err(failure) = self.end() {
            self.failure = Some(failure);
            bail!("{}", self.reason());
        }
        let (address, sent) = (&self.request.address, self.to.count());
        match self.request.length() {
            Some(length) if length != sent => {
                bail!("{address}: {sent} bytes were sent, but the file there has {length} bytes")
            }
            Some(_) => {}
            None => report::inform(&format!("{address}: the server does not report the file's length\n")),
        }
        report::inform(&format!("{address}: {sent} bytes, SHA-256 {}\n", self.to.digest()));
        Ok(())
    }
}

impl Write for Put {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => self.broken(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush().map_err(|_| self.broken())
    }
}

/// A stream that is given up ends without its last chunk: the server has an incomplete request.
impl Drop for Put {
    fn drop(&mut self) {
        // After an error, or at the end, it has ended already.
        let _ = self.end();
    }
}
