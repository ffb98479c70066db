//! Uploads by HTTP: to a bucket of S3 or of a server with the same interface, and by `PUT`. They
//! are in a program that is built with its feature `https`; the tests of what needs no server
//! always run.
#![cfg_attr(not(feature = "https"), allow(dead_code, reason = "only tests use it"))]

mod address;
#[cfg(feature = "https")]
mod answer;
#[cfg(feature = "https")]
mod client;
mod parts;
#[cfg(feature = "https")]
mod put;
#[cfg(feature = "https")]
mod s3;

#[cfg(feature = "https")]
pub(crate) use {
    address::{HttpAddress, S3Address},
    put::Put,
    s3::S3Upload,
};

/// Memory of a connection in bytes: TLS, certificates, and buffers of requests and answers.
const CONNECTION: u64 = 4 << 20;
