//! A small web server on loopback that takes uploads, by `PUT` and in parts as S3 does, and that
//! fails as it is asked to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};

/// What is wrong with the answer to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// This status and code in place of an answer; the body is not read.
    Answer(u16, &'static str),
    /// The connection is closed after a part of the body.
    Close,
    /// The request is carried out, but the connection is closed in place of an answer.
    Lost,
    /// A byte of the body is changed. The server sees that in the digest.
    Damage,
    /// A byte of the body is changed. The server does not look at the digest.
    SilentDamage,
    /// No answer is given while the upload exists.
    Hold,
}

/// A request without its body.
pub(crate) struct Request {
    /// As in `PUT /dumps/a?partNumber=1`, without the other parameters.
    pub(crate) line: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Parts by number, of the upload to each path.
    pub(crate) uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    pub(crate) requests: Vec<Request>,
    etags: BTreeMap<String, String>,
}

type Faults = dyn Fn(&str, usize) -> Fault + Send + Sync;

pub(crate) struct Collector {
    pub(crate) port: u16,
    contents: Arc<Mutex<Contents>>,
}

impl Collector {
    /// Starts a server. The fault of a request depends on its line, and on how often that came
    /// before.
    pub(crate) fn start(faults: impl Fn(&str, usize) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let contents = Arc::new(Mutex::new(Contents::default()));
        let (shared, faults): (_, Arc<Faults>) = (contents.clone(), Arc::new(faults));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (contents, faults) = (shared.clone(), faults.clone());
                thread::spawn(
                    move || while serve(&mut stream.as_ref().unwrap(), &contents, &*faults).is_some() {},
                );
            }
        });
        Self { port, contents }
    }

    pub(crate) fn contents(&self) -> std::sync::MutexGuard<'_, Contents> {
        self.contents.lock().unwrap()
    }

    /// How often this line came.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.contents().requests.iter().filter(|request| request.line == line).count()
    }
}

/// Answers one request; `None` ends the connection.
fn serve(mut stream: &mut &TcpStream, contents: &Mutex<Contents>, faults: &Faults) -> Option<()> {
    let mut from = BufReader::with_capacity(1, &mut stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let mut parts = head.first()?.split(' ');
    let (method, target) = (parts.next()?, parts.next()?.to_owned());
    let headers: BTreeMap<_, _> = head[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query: BTreeMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let part = query.get("partNumber").map(|number| format!("?partNumber={number}")).unwrap_or_default();
    let line = format!("{method} {path}{part}");
    let (fault, is_upload) = {
        let mut contents = contents.lock().unwrap();
        let before = contents.requests.iter().filter(|request| request.line == line).count();
        let fault = faults(&line, before);
        contents.requests.push(Request { line, target: target.clone(), headers: headers.clone() });
        (fault, contents.uploads.contains_key(path))
    };
    let error = |mut stream: &TcpStream, status: u16, code: &str| {
        let text = format!("<Error><Code>{code}</Code><Message>as it was asked to</Message></Error>");
        let head =
            format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", text.len());
        stream.write_all((head + &text).as_bytes()).ok()
    };
    if let Fault::Answer(status, code) = fault {
        error(stream, status, code)?;
        // The body may be on its way: closing now could destroy the answer.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = std::io::copy(stream, &mut std::io::sink());
        return None;
    }
    if headers.get("expect").is_some_and(|value| value == "100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = body(stream, &headers, fault == Fault::Close)?;
    if matches!(fault, Fault::Damage | Fault::SilentDamage) {
        let middle = body.len() / 2;
        body[middle] ^= 1;
    }
    let digest = Md5::digest(&body);
    if fault != Fault::SilentDamage
        && headers.get("content-md5").is_some_and(|sent| *sent != BASE64_STANDARD.encode(digest))
    {
        return error(stream, 400, "BadDigest");
    }
    while fault == Fault::Hold && contents.lock().unwrap().uploads.contains_key(path) {
        thread::yield_now();
    }
    let etag = hex(&digest);
    let mut kept = contents.lock().unwrap();
    let (head, text) = match (method, query.get("uploadId"), query.get("partNumber")) {
        ("POST", None, _) => {
            kept.uploads.insert(path.to_owned(), BTreeMap::new());
            let ns = "http://s3.amazonaws.com/doc/2006-03-01/";
            let name = "<UploadId>one</UploadId>";
            let text = format!(
                "<InitiateMultipartUploadResult xmlns=\"{ns}\">{name}</InitiateMultipartUploadResult>"
            );
            ("200 OK".to_owned(), text)
        }
        (_, Some(_), _) if !is_upload => {
            drop(kept);
            return error(stream, 404, "NoSuchUpload");
        }
        ("PUT", Some(_), Some(number)) => {
            kept.uploads.get_mut(path)?.insert(number.parse().unwrap(), body);
            (format!("200 OK\r\nETag: \"{etag}\""), String::new())
        }
        ("POST", Some(_), _) => {
            let parts = kept.uploads.remove(path)?;
            let text = String::from_utf8(body).unwrap();
            assert_eq!(text.matches("<Part>").count(), parts.len(), "{text}");
            for (number, part) in &parts {
                assert!(text.contains(&hex(&Md5::digest(part))), "part {number}");
            }
            let digests: Vec<u8> = parts.values().flat_map(Md5::digest).collect();
            let etag = format!("\"{}-{}\"", hex(&Md5::digest(digests)), parts.len());
            kept.etags.insert(path.to_owned(), etag);
            kept.files.insert(path.to_owned(), parts.into_values().collect::<Vec<_>>().concat());
            ("200 OK".to_owned(), "<CompleteMultipartUploadResult/>".to_owned())
        }
        ("DELETE", ..) => {
            kept.uploads.remove(path);
            ("204 No Content".to_owned(), String::new())
        }
        ("HEAD", ..) => {
            let length = kept.files.get(path)?.len();
            let etag = kept.etags.get(path).map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default();
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\n{etag}Content-Length: {length}\r\n\r\n").as_bytes())
                .ok()?;
            return Some(());
        }
        _ => {
            kept.files.insert(path.to_owned(), body);
            ("201 Created".to_owned(), String::new())
        }
    };
    if fault == Fault::Lost {
        return None;
    }
    let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    stream.write_all(answer.as_bytes()).ok()
}

/// The body of a request, or `None` if it is cut off. `is_cut` stops in the middle of it.
fn body(stream: &TcpStream, headers: &BTreeMap<String, String>, is_cut: bool) -> Option<Vec<u8>> {
    let mut from = BufReader::with_capacity(1, stream);
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        let length: usize = length.parse().ok()?;
        body.resize(if is_cut { length / 2 } else { length }, 0);
        from.read_exact(&mut body).ok()?;
    }
    while headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let start = body.len();
        body.resize(start + length, 0);
        let mut end = [0; 2];
        from.read_exact(&mut body[start..]).and_then(|()| from.read_exact(&mut end)).ok()?;
        if length == 0 || is_cut && body.len() > 1 << 20 {
            break;
        }
    }
    (!is_cut).then_some(body)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
