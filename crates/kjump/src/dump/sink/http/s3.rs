//! An object in a bucket, uploaded in parts. It appears when all parts are there.
//!
//! A part is filled while another is sent. Each is sent with its MD5 digest, which the server
//! compares, and is kept until the server has it, so that it can be sent again.

mod transfer;

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use anyhow::{Context, bail};

use super::S3Address;
use super::answer::Failure;
use super::parts;
use crate::terminal::quantity;

use transfer::{Etag, Transfer};

/// A stream to an object.
pub(crate) struct S3Upload {
    transfer: Arc<Transfer>,
    /// The part that is being filled, and its size.
    part: Vec<u8>,
    size: usize,
    /// `None` once the stream has ended.
    to: Option<SyncSender<Vec<u8>>>,
    /// Parts that were sent, to be filled again.
    spare: Receiver<Vec<u8>>,
    sender: Option<JoinHandle<Result<Vec<Etag>, Failure>>>,
    taken: u64,
    /// Why the stream broke: each thread that writes gets the reason.
    failure: Option<(io::ErrorKind, String)>,
}

impl S3Upload {
    /// Finds out whether the environment has what an upload needs.
    pub(crate) fn check(address: &S3Address, plain_http: bool) -> anyhow::Result<()> {
        Transfer::new(address, plain_http).map(drop)
    }

    /// Its memory in bytes, for a dump with at most this number of pages.
    pub(crate) fn memory(pages: u64) -> u64 {
        super::CONNECTION + parts::memory(pages)
    }

    /// Starts an upload of a dump with at most this number of pages.
    pub(crate) fn start(address: &S3Address, plain_http: bool, pages: u64) -> anyhow::Result<Self> {
        let size = usize::try_from(parts::size(pages))?;
        let part = || {
            let mut part = Vec::new();
            part.try_reserve_exact(size).map(|()| part).with_context(|| {
                format!("no memory for a part of the upload, {}", quantity::bytes(size as u64))
            })
        };
        let transfer = Arc::new(Transfer::new(address, plain_http)?);
        let (to, from) = sync_channel(1);
        let (back, spare) = channel();
        back.send(part()?)?;
        let part = part()?;
        abort_on_signals(&transfer)?;
        transfer.create().map_err(|failure| anyhow::anyhow!("{address}: {failure}"))?;
        let mut upload =
            Self { transfer, part, size, to: Some(to), spare, sender: None, taken: 0, failure: None };
        let shared = upload.transfer.clone();
        let sender = thread::Builder::new().spawn(move || send(&shared, &from, &back));
        upload.sender = Some(sender.context("no thread to send the dump")?);
        Ok(upload)
    }

    /// Hands over the part that was filled; waits until another one can be filled.
    fn hand_over(&mut self) -> io::Result<()> {
        let Ok(next) = self.spare.recv() else { return Err(self.broken()) };
        let part = std::mem::replace(&mut self.part, next);
        match self.to.as_ref().map(|to| to.send(part)) {
            Some(Ok(())) => Ok(()),
            _ => Err(self.broken()),
        }
    }

    /// Ends the stream; the parts that were sent.
    fn end(&mut self) -> Result<Vec<Etag>, Failure> {
        drop(self.to.take());
        match self.sender.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(Failure::lasting("the upload has ended")),
        }
    }

    fn broken(&mut self) -> io::Error {
        let (kind, reason) = match self.failure.take() {
            Some(known) => known,
            None => match self.end() {
                Err(failure) => self.give_up(&failure),
                Ok(_) => self.give_up(&Failure::lasting("the upload has ended")),
            },
        };
        self.failure = Some((kind, reason.clone()));
        io::Error::new(kind, reason)
    }

    /// Aborts the upload; returns what is reported.
    fn give_up(&self, failure: &Failure) -> (io::ErrorKind, String) {
        let (address, taken) = (self.transfer.address(), self.taken);
        let end = match self.transfer.abort() {
            Ok(()) => "the upload was aborted".to_owned(),
            Err(other) => format!("the upload could not be aborted ({other}): its parts take space there"),
        };
        (failure.io_kind(), format!("{failure}; {address} was not saved; after {taken} bytes, {end}"))
    }

    /// Ends the stream: waits until the server has made an object of all parts.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        if !self.part.is_empty() {
            self.hand_over()?;
        }
        let completed = self.end().and_then(|etags| self.transfer.complete(&etags));
        if let Err(failure) = completed {
            let (_, reason) = self.give_up(&failure);
            bail!("{reason}");
        }
        Ok(())
    }
}

/// Has this upload aborted when a signal ends the program. The threads that are started from now on
/// leave signals to the one that does it.
fn abort_on_signals(transfer: &Arc<Transfer>) -> io::Result<()> {
    static LAST: Mutex<Option<Weak<Transfer>>> = Mutex::new(None);
    let last = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let before = last().replace(Arc::downgrade(transfer));
    if before.is_some() {
        return Ok(());
    }
    sys::signal::before_termination(move || {
        let transfer = last().as_ref().and_then(Weak::upgrade);
        if let Some(transfer) = transfer {
            transfer.stop();
        }
    })
}

/// Sends each part that comes, and gives it back.
fn send(transfer: &Transfer, from: &Receiver<Vec<u8>>, back: &Sender<Vec<u8>>) -> Result<Vec<Etag>, Failure> {
    let mut etags = Vec::new();
    for mut part in from {
        let number = u16::try_from(etags.len() + 1).ok().filter(|number| *number <= parts::MOST);
        let number = number.ok_or_else(|| {
            Failure::lasting(format!(
                "the dump is longer than {} parts of {}",
                parts::MOST,
                quantity::bytes(part.capacity() as u64)
            ))
        })?;
        etags.push(transfer.put(number, &part)?);
        part.clear();
        // At the end, there is nothing to fill.
        let _ = back.send(part);
    }
    Ok(etags)
}

impl Write for S3Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.to.is_none() {
            return Err(self.broken());
        }
        let count = bytes.len().min(self.size - self.part.len());
        self.part.extend_from_slice(bytes.get(..count).unwrap_or_default());
        self.taken += count as u64;
        if self.part.len() == self.size {
            self.hand_over()?;
        }
        Ok(count)
    }

    /// A part is sent when it is full.
    fn flush(&mut self) -> io::Result<()> {
        if self.to.is_none() { Err(self.broken()) } else { Ok(()) }
    }
}

/// A stream that is given up leaves no parts behind.
impl Drop for S3Upload {
    fn drop(&mut self) {
        self.transfer.give_up_soon();
        // After an error, or at the end, it has ended already.
        let _ = self.end();
        if let Err(failure) = self.transfer.abort() {
            self.transfer.inform(&format!("the upload could not be aborted: {failure}"));
        }
    }
}
