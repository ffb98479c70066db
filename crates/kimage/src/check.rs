use phys::Pfn;

use crate::census::Census;
use crate::error::{Error, ListFault, Purpose};
use crate::frames::{Frames, Zone};
use crate::holding::Holding;
use crate::ledger::Ledger;
use crate::list::{self, DESTINATION, DONE, INDIRECTION, LINK, SOURCE};
use crate::segment::{Layout, Segment};

/// Walks the finished page list as the relocator will and checks it against the segments,
/// independently of how it was built:
///
/// - the links lead through the list's own frames, each once, to the end;
/// - the destinations are those of the segments, all of them, in order;
/// - a source page is its own destination or not a destination;
/// - no two slots share a source, no source page is a support frame;
/// - no support frame is a destination.
///
/// Returns how many slots are their own source. O(n log s) for n pages in s segments. Reads no
/// source page.
pub(crate) fn check<S: AsRef<[Segment]>, F: Frames>(holding: &mut Holding<S, F>) -> Result<u64, Error> {
    let head = holding.head();
    let Holding { frames, layout, ledger, held, .. } = holding;
    let mut walk = Walk {
        layout,
        ledger,
        held: *held,
        frames,
        census: Census::default(),
        list: None,
        offset: 0,
        entered: 0,
        position: 0,
        claimed: 0,
    };
    let result = walk.support_frames().and_then(|()| walk.list(head));
    let Walk { census, frames, claimed, .. } = walk;
    census.free(frames);
    result.map(|()| claimed)
}

struct Walk<'w, S, F> {
    layout: &'w Layout<S>,
    ledger: &'w Ledger,
    /// Frames that the image holds, for errors.
    held: u64,
    frames: &'w mut F,
    census: Census,
    /// The list frame being read and the next word in it.
    list: Option<Pfn>,
    offset: usize,
    /// The number of list frames entered.
    entered: u64,
    /// The number of words read, links not counted.
    position: u64,
    claimed: u64,
}

impl<S: AsRef<[Segment]>, F: Frames> Walk<'_, S, F> {
    fn support_frames(&mut self) -> Result<(), Error> {
        let Self { layout, ledger, frames, census, held, .. } = self;
        ledger.each(*frames, |frames, frame| {
            let word = frame.address().get();
            if layout.find(frame).is_some() {
                return Err(Error::List { fault: ListFault::Support, position: 0, word });
            }
            match census.enter(frame, frames) {
                Some(true) => Ok(()),
                Some(false) => Err(Error::List { fault: ListFault::Doubled, position: 0, word }),
                None => Err(no_memory(*held)),
            }
        })
    }

    fn list(&mut self, head: u64) -> Result<(), Error> {
        self.follow(head)?;
        for segment in self.layout.segments() {
            let word = self.next()?;
            if word != segment.mem | DESTINATION {
                return Err(self.fault(ListFault::Destination, word));
            }
            for page in 0..segment.pages() {
                let word = self.next()?;
                self.source(word, segment.page(page))?;
            }
        }
        let word = self.next()?;
        if word != DONE {
            return Err(self.fault(ListFault::Done, word));
        }
        Ok(())
    }

    fn source(&mut self, word: u64, destination: Option<Pfn>) -> Result<(), Error> {
        let Some(source) = list::frame(word, SOURCE) else {
            return Err(self.fault(ListFault::Source, word));
        };
        if Some(source) == destination {
            self.claimed += 1;
        } else if self.layout.find(source).is_some() {
            return Err(self.fault(ListFault::Stolen, word));
        }
        match self.census.enter(source, self.frames) {
            Some(true) => Ok(()),
            Some(false) => Err(self.fault(ListFault::Doubled, word)),
            None => Err(no_memory(self.held)),
        }
    }

    /// Reads the next word that is not a link.
    fn next(&mut self) -> Result<u64, Error> {
        if self.offset == LINK {
            let link = self.read();
            self.follow(link)?;
        }
        let word = self.read();
        self.position += 1;
        self.offset += 1;
        Ok(word)
    }

    fn read(&mut self) -> u64 {
        let words = self.list.map(|list| self.frames.words(list));
        words.and_then(|words| words.get(self.offset).copied()).unwrap_or(0)
    }

    /// Continues in the list frame that a link names. It must be the next of the list's own frames,
    /// so that a walk ends and stays within the image's memory.
    fn follow(&mut self, link: u64) -> Result<(), Error> {
        let named = list::frame(link, INDIRECTION);
        if named.is_none() || named != self.ledger.get(self.entered, self.frames) {
            return Err(self.fault(ListFault::Chain, link));
        }
        self.list = named;
        self.offset = 0;
        self.entered += 1;
        Ok(())
    }

    fn fault(&self, fault: ListFault, word: u64) -> Error {
        Error::List { fault, position: self.position.saturating_sub(1), word }
    }
}

const fn no_memory(held: u64) -> Error {
    Error::NoMemory { purpose: Purpose::Check, order: 0, zone: Zone::Any, held }
}
