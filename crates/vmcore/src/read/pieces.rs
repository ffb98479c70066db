//! A look-up of bytes in records that may overlap.

/// Contiguous bytes, with their place in two address spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The first byte in the space of the look-up.
    pub(super) start: u64,
    /// Number of bytes.
    pub(super) size: u64,
    /// The first byte in the other space, whose addresses may wrap around.
    pub(super) at: u64,
}

impl Piece {
    const fn end(self) -> u64 {
        self.start + self.size
    }

    /// Whether the other piece continues this one in both spaces.
    const fn is_followed_by(self, next: Self) -> bool {
        self.end() == next.start && self.at.wrapping_add(self.size) == next.at
    }
}

/// Whether records are in order and do not overlap.
fn are_disjoint(records: &[Piece]) -> bool {
    records.array_windows().all(|[first, second]| first.end() <= second.start)
}

/// Pieces in order, without overlaps.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<Piece>);

impl Pieces {
    /// Cuts records where they overlap: the later record counts. No record may end beyond
    /// `u64::MAX`. There may be millions: unless they overlap, this needs no more memory.
    pub(super) fn of(mut records: Vec<Piece>) -> Self {
        records.retain(|record| record.size > 0);
        if !are_disjoint(&records) {
            records.reverse();
        }
        if !are_disjoint(&records) {
            records.reverse();
            return Self::cut(&records);
        }
        records.dedup_by(|next, last| {
            let is_joined = last.is_followed_by(*next);
            if is_joined {
                last.size += next.size;
            }
            is_joined
        });
        Self(records)
    }

    fn cut(records: &[Piece]) -> Self {
        let mut borders: Vec<_> = records
            .iter()
            .enumerate()
            .filter(|(_, record)| record.size > 0)
            .flat_map(|(n, record)| [(record.start, n, true), (record.end(), n, false)])
            .collect();
        borders.sort_unstable();
        let mut open = std::collections::BTreeSet::new();
        let mut pieces = Self(Vec::with_capacity(records.len()));
        let mut from = 0;
        for (place, number, opens) in borders {
            if let Some(record) = open.last().map(|n: &usize| records[*n])
                && place > from
            {
                pieces.add(Piece {
                    start: from,
                    size: place - from,
                    at: record.at.wrapping_add(from - record.start),
                });
            }
            from = place;
            if opens {
                open.insert(number);
            } else {
                open.remove(&number);
            }
        }
        pieces
    }

    fn add(&mut self, piece: Piece) {
        match self.0.last_mut() {
            Some(last) if last.is_followed_by(piece) => last.size += piece.size,
            _ => self.0.push(piece),
        }
    }

    /// Looks up a byte: its place in the other space and the number of contiguous bytes there, or
    /// the distance to the next piece.
    pub(super) fn find(&self, place: u64) -> Found {
        let next = self.0.partition_point(|piece| piece.start <= place);
        let here = next.checked_sub(1).map(|n| self.0[n]).filter(|piece| place < piece.end());
        match here {
            Some(piece) => Found::At(piece.at.wrapping_add(place - piece.start), piece.end() - place),
            None => Found::Gap(self.0.get(next).map_or(u64::MAX, |next| next.start - place)),
        }
    }

    /// The end of the last piece.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |last| last.end())
    }

    /// Bytes of memory that they take.
    pub(super) fn memory(&self) -> u64 {
        (self.0.capacity() * size_of::<Piece>()) as u64
    }

    /// Bytes of all pieces together.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|piece| piece.size).sum()
    }
}

/// The answer of [`Pieces::find`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The place in the other space, and the number of contiguous bytes.
    At(u64, u64),
    /// The distance to the next piece.
    Gap(u64),
}
