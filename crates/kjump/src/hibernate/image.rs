//! `kjump image`: hibernation files at rest.

use std::path::Path;

use anyhow::Context;
use hibernation::{Disk, Header, Image, PAGE, SlotKind, State, StateKind, load_header};
use serde::Serialize;

use super::args::{ImageCommand, ImageEraseArgs, ImageInfoArgs, ImageVerifyArgs};
use super::key::KeyMaterial;
use super::save;
use super::target::Target;
use crate::terminal::progress::Progress;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

pub(crate) fn run(command: &ImageCommand) -> anyhow::Result<Outcome> {
    match command {
        ImageCommand::Info(args) => info(args),
        ImageCommand::Verify(args) => verify(args),
        ImageCommand::Erase(args) => erase(args),
        ImageCommand::Save(_) => save::run(),
    }
}

/// What `info` prints.
#[derive(Serialize)]
struct Info {
    state: String,
    reason: String,
    kernel: Option<String>,
    host: Option<String>,
    hibernated_at: Option<u64>,
    pages: Option<u64>,
    zero_pages: Option<u64>,
    stored_bytes: Option<u64>,
    cipher: Option<&'static str>,
    /// What `resume` needs: `passphrase`, `key file` or `none`.
    key: Option<&'static str>,
}

impl Info {
    fn new(state: &State, header: Option<&Header>) -> Self {
        Self {
            state: state.kind.to_string(),
            reason: printable(&state.reason),
            kernel: header.map(|header| printable(&header.facts.release)),
            host: header.map(|header| printable(&header.facts.host)),
            hibernated_at: header.map(|header| header.facts.seconds),
            pages: header.map(|header| header.pages),
            zero_pages: header.map(|header| header.zero_pages),
            stored_bytes: header.map(|header| header.stored),
            cipher: header.map(|header| header.cipher.name()),
            key: header.map(key_of),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("state: {}\n", self.state);
        if !self.reason.is_empty() {
            text += &format!("reason: {}\n", self.reason);
        }
        if let (Some(kernel), Some(host), Some(cipher)) = (&self.kernel, &self.host, self.cipher) {
            let bytes = |number: Option<u64>| quantity::bytes(number.unwrap_or(0));
            text += &format!("kernel: {kernel} of {host}\n");
            text += &format!(
                "memory: {}, stored as {}\n",
                bytes(self.pages.map(|pages| pages.saturating_mul(PAGE as u64))),
                bytes(self.stored_bytes)
            );
            text += &format!("encryption: {cipher}\n");
            text += &format!("key: {}\n", self.key.unwrap_or("none"));
        }
        text
    }
}

/// What opens an image. The header may list several keys; the first is the one it was written with.
fn key_of(header: &Header) -> &'static str {
    match header.slots.first().map(|slot| slot.kind) {
        None => "none",
        Some(SlotKind::KeyFile) => "key file",
        Some(SlotKind::Passphrase(_)) => "passphrase",
    }
}

/// Text of a file that anybody may have written, for a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

fn info(args: &ImageInfoArgs) -> anyhow::Result<Outcome> {
    let target = Target::open(&args.device)?;
    let (state, header) = load_header(&target).with_context(|| args.device.display().to_string())?;
    let info = Info::new(&state, header.as_ref());
    if args.json {
        report::print_json(&info)?;
    } else {
        report::print(&info.text())?;
    }
    Ok(if state.kind.has_image() { Outcome::Done } else { Outcome::No })
}

fn verify(args: &ImageVerifyArgs) -> anyhow::Result<Outcome> {
    let key = KeyMaterial::read(&args.key)?;
    let target = Target::open(&args.device)?;
    let (pages, blocks) = check_all(&target, &key, &args.device)?;
    report::print(&format!("{pages} pages in {blocks} blocks verified\n"))?;
    Ok(Outcome::Done)
}

/// Reads everything; returns the number of pages and blocks.
fn check_all(disk: &impl Disk, key: &KeyMaterial, path: &Path) -> anyhow::Result<(u64, usize)> {
    let failed = || path.display().to_string();
    let image = Image::open(disk, key.key()).with_context(failed)?;
    let blocks = image.blocks().len();
    let progress = Progress::start_bytes("reading the image".to_owned(), blocks as u64, 1 << 20);
    let mut reader = image.reader();
    for number in 0..blocks {
        reader.get(number).with_context(failed)?;
        progress.step();
    }
    Ok((image.header().pages, blocks))
}

fn erase(args: &ImageEraseArgs) -> anyhow::Result<Outcome> {
    let failed = || args.device.display().to_string();
    let target = Target::open(&args.device)?;
    let state = State::read(&target).with_context(failed)?;
    hibernation::erase_keys(&target).with_context(failed)?;
    state.change(&target, StateKind::Empty, "").with_context(failed)?;
    Ok(Outcome::Done)
}
