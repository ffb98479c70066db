//! Dumps that are uploaded to a server on loopback: to S3 and by `PUT`, whole and when something
//! goes wrong.
#![cfg(feature = "https")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

mod support;

use support::collector::{Collector, Fault};
use support::{Directory, kjump, text};

const SECRET: &str = "a secret that is not printed";

/// Saves memory without compression: the dump has four parts. With one thread, its bytes are the
/// same each time.
fn upload(dir: &Directory, address: &str, options: &[&str]) -> Command {
    let mut command = kjump(&["dump", "save", "--threads", "1", "--compress", "raw", "-d", "0", "--to"]);
    command.arg(address).args(options).arg(dir.path("vmcore"));
    for name in ["AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3"] {
        command.env_remove(name);
    }
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", SECRET);
    command
}

fn to_s3(dir: &Directory, server: &Collector) -> Command {
    let mut command = upload(dir, "s3://dumps/fleet/web7", &[]);
    command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", server.port));
    command
}

fn by_put(dir: &Directory, server: &Collector, options: &[&str]) -> Command {
    let address = format!("http://127.0.0.1:{}/fleet/web7?token=query", server.port);
    let mut command = upload(dir, &address, options);
    command.env("KJUMP_AUTHORIZATION", format!("Bearer {SECRET}"));
    command
}

fn ended(command: &mut Command, status: i32) -> String {
    let Output { status: found, stderr, .. } = command.output().unwrap();
    let stderr = text(&stderr);
    assert_eq!(found.code(), Some(status), "{stderr}");
    assert!(
        !stderr.contains(SECRET) && !stderr.contains("token=") && !stderr.contains("Signature="),
        "{stderr}"
    );
    stderr
}

/// The stream is a dump with the bytes of one that is saved to a file.
fn is_the_dump(dir: &Directory, stream: &[u8]) {
    fs::write(dir.path("stream"), stream).unwrap();
    let mut arranged = kjump(&["makedumpfile", "-R"]);
    arranged.arg(dir.path("arranged")).stdin(File::open(dir.path("stream")).unwrap());
    assert!(arranged.output().unwrap().status.success());
    let mut saved = kjump(&["dump", "save", "--threads", "1", "--compress", "raw", "-d", "0"]);
    assert!(saved.arg(dir.path("vmcore")).arg(dir.path("saved")).output().unwrap().status.success());
    assert!(fs::read(dir.path("arranged")).unwrap() == fs::read(dir.path("saved")).unwrap());
    let mut verified = kjump(&["dump", "verify", "--against"]);
    verified.arg(dir.path("vmcore")).arg(dir.path("arranged"));
    assert!(verified.output().unwrap().status.success());
}

fn directory(name: &str) -> Directory {
    let dir = Directory::new(name);
    dir.source();
    dir
}

#[test]
fn a_dump_in_a_bucket_is_the_dump_in_a_file() {
    let dir = directory("s3-whole");
    let server = Collector::start(|_, _| Fault::None);
    let mut command = to_s3(&dir, &server);
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("\"bytes\""), "{}", text(&output.stdout));
    assert!(server.contents().uploads.is_empty());
    assert_eq!(server.count("PUT /dumps/fleet/web7?partNumber=3"), 1);
    is_the_dump(&dir, &server.contents().files["/dumps/fleet/web7"]);
}

#[test]
fn parts_that_fail_or_are_damaged_are_sent_again() {
    let dir = directory("s3-again");
    let server = Collector::start(|line, before| match (line.rsplit_once('='), before) {
        (Some((_, "1")), 0) => Fault::Close,
        (Some((_, "1")), 1) => Fault::Answer(503, "SlowDown"),
        (Some((_, "2")), 0) => Fault::Damage,
        (Some((_, "3")), 0) => Fault::SilentDamage,
        _ => Fault::None,
    });
    let said = ended(&mut to_s3(&dir, &server), 0);
    for part in [
        "part 1 of s3://dumps/fleet/web7: ",
        "SlowDown: as it was asked to: trying again in 2 s",
        "part 2 of s3://dumps/fleet/web7: the server answers 400 Bad Request: BadDigest",
        "part 3 of s3://dumps/fleet/web7: the checksum of what arrived is wrong: MD5 ",
    ] {
        assert!(said.contains(part), "{said}");
    }
    is_the_dump(&dir, &server.contents().files["/dumps/fleet/web7"]);
}

#[test]
fn an_upload_that_always_fails_is_aborted() {
    for (fault, reason) in [
        (Fault::Answer(503, "SlowDown"), "503 Service Unavailable: SlowDown"),
        (Fault::SilentDamage, "the checksum of what arrived is wrong"),
    ] {
        let dir = directory(if fault == Fault::SilentDamage { "s3-damaged" } else { "s3-never" });
        let server = Collector::start(move |line, _| if line.ends_with("=2") { fault } else { Fault::None });
        let said = ended(&mut to_s3(&dir, &server), 1);
        assert!(said.contains(reason) && said.contains("the upload was aborted"), "{said}");
        assert_eq!(server.count("PUT /dumps/fleet/web7?partNumber=2"), 5);
        assert_eq!(server.count("DELETE /dumps/fleet/web7"), 1);
        let contents = server.contents();
        assert!(contents.files.is_empty() && contents.uploads.is_empty());
    }
}

#[test]
fn a_refusal_is_not_tried_again() {
    let dir = directory("s3-refused");
    let server = Collector::start(|_, _| Fault::Answer(403, "InvalidAccessKeyId"));
    let said = ended(&mut to_s3(&dir, &server), 1);
    assert!(
        said.contains("s3://dumps/fleet/web7: the server answers 403 Forbidden: InvalidAccessKeyId"),
        "{said}"
    );
    assert_eq!(server.contents().requests.len(), 1);
}

#[test]
fn an_answer_that_is_lost_at_the_end_is_not_a_failure() {
    let dir = directory("s3-lost");
    let server = Collector::start(|line, before| match (line, before) {
        ("POST /dumps/fleet/web7", 1) => Fault::Lost,
        _ => Fault::None,
    });
    let said = ended(&mut to_s3(&dir, &server), 0);
    assert!(said.contains("NoSuchUpload: as it was asked to, but the object is there"), "{said}");
    is_the_dump(&dir, &server.contents().files["/dumps/fleet/web7"]);
}

#[test]
fn a_signal_aborts_an_upload() {
    let dir = directory("s3-signal");
    let server = Collector::start(|line, _| if line.ends_with("=2") { Fault::Hold } else { Fault::None });
    let mut child = to_s3(&dir, &server).spawn().unwrap();
    while server.count("PUT /dumps/fleet/web7?partNumber=2") == 0 {
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    let contents = server.contents();
    assert!(contents.files.is_empty() && contents.uploads.is_empty());
}

#[test]
fn a_dump_is_uploaded_by_one_request() {
    let dir = directory("put-whole");
    // Before it begins, it is tried again.
    let server = Collector::start(|_, before| if before == 0 { Fault::Answer(503, "") } else { Fault::None });
    let said = ended(&mut by_put(&dir, &server, &[]), 0);
    assert!(said.contains("/fleet/web7: the server answers 503 Service Unavailable"), "{said}");
    let contents = server.contents();
    let stream = &contents.files["/fleet/web7"];
    assert!(said.contains(&format!("/fleet/web7: {} bytes, SHA-256 ", stream.len())), "{said}");
    assert_eq!(contents.requests[1].target, "/fleet/web7?token=query");
    assert_eq!(contents.requests[1].headers["authorization"], format!("Bearer {SECRET}"));
    is_the_dump(&dir, stream);
}

#[test]
fn a_request_that_breaks_is_an_error_and_leaves_nothing() {
    for (fault, reason) in [
        (Fault::Close, "/fleet/web7 was not saved, "),
        (Fault::Lost, "/fleet/web7 was not saved, "),
        (Fault::Answer(401, ""), "the server answers 401 Unauthorized: "),
    ] {
        let dir = directory("put-broken");
        let server = Collector::start(move |_, _| fault);
        let said = ended(&mut by_put(&dir, &server, &[]), 1);
        assert!(said.contains(reason), "{said}");
        assert_eq!(server.count("PUT /fleet/web7"), 1);
        assert_eq!(server.contents().files.is_empty(), fault != Fault::Lost);
    }
}

#[test]
fn a_server_without_room_is_sent_the_next_level() {
    let dir = directory("put-room");
    let server = Collector::start(|line, before| match (line, before) {
        ("PUT /fleet/web7", 0) => Fault::Answer(507, ""),
        _ => Fault::None,
    });
    let mut command = kjump(&["dump", "save", "--compress", "raw", "-d", "0,1", "--to"]);
    command.arg(format!("http://127.0.0.1:{}/fleet/web7", server.port)).arg(dir.path("vmcore"));
    let said = ended(&mut command, 0);
    assert!(said.contains("no room for dump level 0: trying 1"), "{said}");
}

#[test]
fn what_the_environment_lacks_is_known_at_once() {
    let dir = Directory::new("lacking");
    for (address, name, value, reason) in [
        ("s3://dumps/a", "AWS_SECRET_ACCESS_KEY", "", "AWS_SECRET_ACCESS_KEY are not set"),
        ("s3://dumps/a", "AWS_ENDPOINT_URL", "", "neither AWS_REGION nor AWS_ENDPOINT_URL is set"),
        ("s3://dumps/a", "AWS_ENDPOINT_URL", "http://collector", "without encryption"),
        ("http://collector/a", "X", "", "without encryption: use https://, or allow it by --plain-http"),
        ("https://collector/a", "SSL_CERT_FILE", "/none", "/none: No such file"),
        ("https://collector/a", "SSL_CERT_FILE", "/dev/null", "/dev/null: there is no certificate"),
        ("https://collector/a", "KJUMP_AUTHORIZATION", "a\nb", "is not the value of a header"),
    ] {
        let mut command = upload(&dir, address, &[]);
        let said = ended(command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env(name, value), 1);
        assert!(said.contains(&format!("{address}: ")) && said.contains(reason), "{said}");
    }
}

/// A server of others, which is killed at the end.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs the program s3s-fs: cargo xtask test --soak dump/s3"]
fn a_server_with_the_interface_of_s3_takes_a_dump_with_a_right_signature() {
    let dir = directory("s3-others");
    let root = dir.path("root");
    fs::create_dir_all(root.join("dumps")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new(std::env::var("S3S_FS").unwrap());
    server.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--access-key", "key"]);
    let server = server.args(["--secret-key", SECRET]).arg(&root).stdout(Stdio::null()).spawn();
    let _server = Server(server.unwrap());
    // While it starts, connections are refused, and tried again.
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut command = upload(&dir, "s3://dumps/fleet/web 7%20+\u{e9}", &[]);
    ended(command.env("AWS_ENDPOINT_URL", &endpoint), 0);
    is_the_dump(&dir, &fs::read(root.join("dumps/fleet/web 7%20+\u{e9}")).unwrap());
    let mut command = upload(&dir, "s3://dumps/wrong", &[]);
    command.env("AWS_ENDPOINT_URL", &endpoint).env("AWS_SECRET_ACCESS_KEY", "wrong");
    let said = ended(&mut command, 1);
    assert!(said.contains("403 Forbidden: SignatureDoesNotMatch"), "{said}");
    assert!(!Path::new(&root.join("dumps/wrong")).exists());
}
