//! Joins pieces at any address to segments of whole pages.

use std::borrow::Cow;

use abi::page_list::PAGE_SIZE;

use crate::{Error, Segment};

/// Bytes at any physical address.
#[derive(Clone, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) name: String,
    pub(crate) address: u64,
    /// At least the number of bytes; the rest is zero.
    pub(crate) size: u64,
    pub(crate) bytes: &'a [u8],
}

/// The pieces as segments that do not share pages. Pieces that share a page are joined to one
/// segment; if they share only zeros, no bytes are copied.
pub(crate) fn segments(mut pieces: Vec<Piece<'_>>) -> Result<Vec<Segment<'_>>, Error> {
    pieces.retain(|piece| piece.size > 0);
    pieces.sort_by_key(|piece| piece.address);
    let mut segments = Vec::new();
    let mut previous: Option<&Piece<'_>> = None;
    for piece in &pieces {
        let end = end_of_last_page(piece)?;
        reject_overlap(previous, piece)?;
        place(&mut segments, piece, end);
        previous = Some(piece);
    }
    Ok(segments)
}

fn end_of_last_page(piece: &Piece<'_>) -> Result<u64, Error> {
    let end = piece.address.checked_add(piece.size).and_then(|end| end.checked_next_multiple_of(PAGE_SIZE));
    end.ok_or_else(|| Error::TooHigh { name: piece.name.clone(), address: piece.address, size: piece.size })
}

/// Pieces come in rising order, so a piece that overlaps any earlier one overlaps its predecessor,
/// or that already failed.
fn reject_overlap(previous: Option<&Piece<'_>>, piece: &Piece<'_>) -> Result<(), Error> {
    let Some(previous) = previous else { return Ok(()) };
    // The sums do not overflow: `end_of_last_page` has checked both pieces.
    let previous_end = previous.address.saturating_add(previous.size);
    if previous_end <= piece.address {
        return Ok(());
    }
    let end = previous_end.min(piece.address.saturating_add(piece.size));
    Err(Error::Overlap {
        first: previous.name.clone(),
        second: piece.name.clone(),
        start: piece.address,
        last: end.saturating_sub(1),
    })
}

/// Adds a piece after all others; `end` is the end of its last page.
fn place<'a>(segments: &mut Vec<Segment<'a>>, piece: &Piece<'a>, end: u64) {
    let first_page = piece.address - piece.address % PAGE_SIZE;
    match segments.last_mut() {
        Some(last) if last.end() > first_page && has_bytes_from(last, first_page) => append(last, piece, end),
        Some(last) if last.end() > first_page && piece.bytes.is_empty() => append(last, piece, end),
        Some(last) if last.end() > first_page => {
            // The page has only zeros yet: it becomes the first page of a new segment.
            last.size = first_page - last.address;
            let mut segment = alone(piece, first_page, end);
            if last.size == 0 {
                segment.name = joined(&last.name, &segment.name);
                *last = segment;
            } else {
                segments.push(segment);
            }
        }
        _ => segments.push(alone(piece, first_page, end)),
    }
}

/// Whether the segment has bytes, zeros aside, at or after the address.
fn has_bytes_from(segment: &Segment<'_>, address: u64) -> bool {
    segment.bytes.len() as u64 > address - segment.address
}

/// Adds a piece to the segment whose last page is the first page of the piece.
fn append<'a>(segment: &mut Segment<'a>, piece: &Piece<'a>, end: u64) {
    segment.size = end - segment.address;
    segment.name = joined(&segment.name, &piece.name);
    if piece.bytes.is_empty() {
        return;
    }
    let bytes = segment.bytes.to_mut();
    // Less than a page of zeros: the segment's bytes end in the page in which the piece starts.
    let gap = (piece.address - segment.address).saturating_sub(bytes.len() as u64);
    extend(bytes, gap, piece.bytes);
}

fn alone<'a>(piece: &Piece<'a>, first_page: u64, end: u64) -> Segment<'a> {
    let bytes = match piece.address - first_page {
        0 => Cow::Borrowed(piece.bytes),
        _ if piece.bytes.is_empty() => Cow::Borrowed(piece.bytes),
        lead => {
            let mut bytes = Vec::new();
            extend(&mut bytes, lead, piece.bytes);
            Cow::Owned(bytes)
        }
    };
    Segment { name: piece.name.clone(), address: first_page, size: end - first_page, bytes }
}

/// Appends less than a page of zeros, then the bytes.
fn extend(bytes: &mut Vec<u8>, zeros: u64, more: &[u8]) {
    bytes.extend((0..zeros).map(|_| 0));
    bytes.extend_from_slice(more);
}

fn joined(first: &str, second: &str) -> String {
    format!("{first}, {second}")
}
